"""The node's HPKE keys on disk: the one that is announced, and the one before it until it expires.

A key lives a week and is replaced after half of it, so that a stolen one opens the questions of some days and not of
years. Askers believe a key only until the date that its signature names.
"""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from frag.durable import write_private
from frag.errors import SettingsError
from frag.sealing import KeyCard, make_card

LIFETIME_S = 7 * 24 * 3600
_SUFFIX = ".key"


class SealingKeys:
    """Keys of one node in `folder`, files named by when they expire. Blocking; thread-safe."""

    def __init__(
        self, folder: Path, node_id: str, identity: Ed25519PrivateKey, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._node_id = node_id
        self._identity = identity
        self._clock = clock
        self._lock = Lock()
        self._keys: dict[int, X25519PrivateKey] = _read(folder)

    def card(self) -> KeyCard:
        """The key to announce, signed; a new one is made when the last has lived half its life."""
        with self._lock:
            self._renew(int(self._clock()))
            expires_at = max(self._keys)
            public = self._keys[expires_at].public_key().public_bytes_raw()
        return make_card(self._node_id, self._identity, public, expires_at)

    def in_force(self) -> list[X25519PrivateKey]:
        """Keys that somebody may still seal to, newest first."""
        with self._lock:
            now = self._clock()
            return [self._keys[at] for at in sorted(self._keys, reverse=True) if at > now]

    def _renew(self, now: int) -> None:
        for expired in [at for at in self._keys if at <= now]:
            del self._keys[expired]
            self._path(expired).unlink(missing_ok=True)
        if max(self._keys, default=0) - now > LIFETIME_S // 2:
            return
        key = X25519PrivateKey.generate()
        write_private(self._path(now + LIFETIME_S), key.private_bytes_raw())
        self._keys[now + LIFETIME_S] = key

    def _path(self, expires_at: int) -> Path:
        return self._folder / f"{expires_at}{_SUFFIX}"


def _read(folder: Path) -> dict[int, X25519PrivateKey]:
    """Raises SettingsError when a file is no key."""
    keys = {}
    for path in folder.glob(f"*{_SUFFIX}"):
        try:
            keys[int(path.stem)] = X25519PrivateKey.from_private_bytes(path.read_bytes())
        except (OSError, ValueError) as error:
            raise SettingsError(f"The sealing key {path} cannot be read.", "Delete it; a new one is made.") from error
    return keys
