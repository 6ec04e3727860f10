"""Updates as bytes: float32, float16 or int8 with error feedback, always one safetensors file.

int8 keeps one scale per row of at most 1,024 values; what rounding loses is added to the node's next update.

Source: Seide et al. 2014, "1-Bit Stochastic Gradient Descent"; Karimireddy et al. 2019, "Error Feedback Fixes SignSGD".
"""

from enum import StrEnum

import numpy as np
import numpy.typing as npt

from frag.errors import UpdateError
from frag.updates import Weights, difference

_BLOCK = 1024
_STEPS = 127
_FP16_MAX = float(np.finfo(np.float16).max)
_SCALES = "/scales"


class Encoding(StrEnum):
    """How the numbers of an update travel."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


def encode(weights: Weights, encoding: Encoding = Encoding.FP32) -> bytes:
    """Float32 tensors as bytes. Rounding is to the nearest; float16 saturates at its largest number, 65,504.

    Raises:
        UpdateError: A number is not finite.
    """
    from safetensors.numpy import save

    tensors: dict[str, npt.NDArray[np.generic]] = {}
    for name, given in weights.items():
        # the file takes the memory as it lies, so a transposed tensor has to be laid out first
        value = np.asarray(given, dtype=np.float32, order="C")
        if not np.isfinite(value).all():
            raise UpdateError(f"A number of {name} is not finite.", "Train with a smaller learning rate.")
        if encoding is Encoding.FP32:
            tensors[name] = value
        elif encoding is Encoding.FP16:
            tensors[name] = np.asarray(np.clip(value, -_FP16_MAX, _FP16_MAX), dtype=np.float16)
        else:
            tensors[name], tensors[name + _SCALES] = _to_int8(value)
    return save(tensors)


def decode(content: bytes, like: Weights, encoding: Encoding = Encoding.FP32) -> Weights:
    """What `encode` made, as float32.

    Raises:
        UpdateError: Not such bytes, or not of the names, shapes and encoding expected; or a number is not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise UpdateError("An update is not a safetensors file.") from error
    expected = {*like, *(name + _SCALES for name in like)} if encoding is Encoding.INT8 else set(like)
    if tensors.keys() != expected:
        raise UpdateError(f"An update holds other tensors than were asked for ({len(tensors)} of {len(expected)}).")
    decoded = {name: _decode_one(name, tensors, like[name].shape, encoding) for name in like}
    for name, value in decoded.items():
        if not np.isfinite(value).all():
            raise UpdateError(f"A number of {name} is not finite.")
    return decoded


def compress(delta: Weights, residual: Weights | None, encoding: Encoding) -> tuple[bytes, Weights]:
    """An update with what earlier rounds lost, as bytes; and what is lost now."""
    wanted = delta if residual is None else {name: delta[name] + residual[name] for name in delta}
    content = encode(wanted, encoding)
    return content, difference(wanted, decode(content, wanted, encoding))


def _to_int8(value: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Steps of the value's shape, and the size of a step in each block of the flattened tensor."""
    blocks = _blocks(value)
    scales = np.abs(blocks).max(axis=1) / np.float32(_STEPS)
    # a subnormal scale is so coarse that the largest number takes more than 127 of it
    steps = np.clip(np.rint(blocks / np.where(scales > 0, scales, 1)[:, None]), -_STEPS, _STEPS).astype(np.int8)
    return steps.reshape(-1)[: value.size].reshape(value.shape), scales.astype(np.float32)


def _blocks(value: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    size = -(-value.size // _BLOCK) * _BLOCK
    padded = np.zeros(max(size, _BLOCK), dtype=np.float32)
    padded[: value.size] = value.reshape(-1)
    return padded.reshape(-1, _BLOCK)


def _decode_one(
    name: str, tensors: dict[str, npt.NDArray[np.generic]], shape: tuple[int, ...], encoding: Encoding
) -> npt.NDArray[np.float32]:
    dtype = {Encoding.FP32: np.float32, Encoding.FP16: np.float16, Encoding.INT8: np.int8}[encoding]
    value = tensors[name]
    if value.shape != shape or value.dtype != dtype:
        raise UpdateError(f"{name} came as {value.dtype} {list(value.shape)}, not {dtype.__name__} {list(shape)}.")
    if encoding is not Encoding.INT8:
        return value.astype(np.float32)
    scales = tensors[name + _SCALES]
    blocks = _blocks(value.astype(np.float32))
    if scales.shape != (len(blocks),) or scales.dtype != np.float32:
        raise UpdateError(f"The scales of {name} do not fit.")
    sizes = scales.astype(np.float32)
    if not (np.isfinite(sizes) & (sizes >= 0)).all():
        raise UpdateError(f"A scale of {name} is not a finite number of at least 0.")
    with np.errstate(over="ignore"):  # `decode` refuses what is not finite
        whole: npt.NDArray[np.float32] = blocks * sizes[:, None]
    return whole.reshape(-1)[: value.size].reshape(shape)
