"""Numbers that nobody can guess, fast enough for noise on every weight: ChaCha20 under a key of the operating system.

The key alone decides the draws, so an interrupted draw can be repeated by whoever kept it, and by nobody else.
"""

import secrets

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

KEY_BYTES = 32
_KEY_WORDS = 1 << 30
"""Words under one key. The block counter of the cipher has 32 bits: it would begin again after 2^35 words."""

Floats = npt.NDArray[np.float64]


class SecretDraws:
    """Uniform and normal float64 numbers. Not thread-safe.

    Normal numbers have the 53 bits of a float64: attacks on the last bits of a noised sum (Mironov 2012, "On
    Significance of the Least Significant Bits for Differential Privacy") are not excluded.

    Args:
        key: 32 bytes; fresh ones of the operating system where none are given.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._begin(secrets.token_bytes(KEY_BYTES) if key is None else key)

    def _begin(self, key: bytes) -> None:
        self._stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()
        self._left = _KEY_WORDS

    def uniforms(self, *shape: int) -> Floats:
        """In [0, 1), each a multiple of 2^-53."""
        number = int(np.prod(shape, dtype=np.int64))
        if number > self._left:
            self._begin(self._stream.update(bytes(KEY_BYTES)))
        self._left -= number
        words = np.frombuffer(self._stream.update(bytes(8 * number)), dtype="<u8")
        numbers: Floats = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return numbers.reshape(shape)

    def normals(self, *shape: int) -> Floats:
        """Of mean 0 and variance 1.

        Source: Box and Muller 1958, "A Note on the Generation of Random Normal Deviates".
        """
        number = int(np.prod(shape, dtype=np.int64))
        pairs = (number + 1) // 2
        radius = np.sqrt(-2 * np.log1p(-self.uniforms(pairs)))
        angle = 2 * np.pi * self.uniforms(pairs)
        both = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
        return both[:number].reshape(shape)
