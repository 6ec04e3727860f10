"""Messages to msgpack frames and back. What does not fit is a ProtocolError, never a crash."""

import math
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from frag.errors import ProtocolError
from server.wire.messages import MAX_FRAME_BYTES, Message, Progress, Reply, ToCoordinator, ToNode, Trained

_M = TypeVar("_M")
_encoder = msgspec.msgpack.Encoder()
_to_node: msgspec.msgpack.Decoder[ToNode] = msgspec.msgpack.Decoder(ToNode)
_to_coordinator: msgspec.msgpack.Decoder[ToCoordinator] = msgspec.msgpack.Decoder(ToCoordinator)


def encode(message: Message) -> bytes:
    """Returns the frame. Raises ProtocolError over MAX_FRAME_BYTES."""
    frame = _encoder.encode(message)
    if len(frame) > MAX_FRAME_BYTES:
        raise ProtocolError(f"A {type(message).__name__} of {len(frame)} bytes is over {MAX_FRAME_BYTES}.")
    return frame


def decode_to_node(frame: bytes) -> ToNode:
    """Raises ProtocolError when `frame` is not a message that a node may receive."""
    return _decode(_to_node, frame)


def decode_to_coordinator(frame: bytes) -> ToCoordinator:
    """Raises ProtocolError when `frame` is not a message that a coordinator may receive."""
    message = _decode(_to_coordinator, frame)
    if isinstance(message, Reply):
        citations = [citation.score for citation in message.citations]
        _require_finite([message.score, message.token_logprob, *message.timings_ms.values(), *citations])
    elif isinstance(message, Trained):
        _require_finite(list(message.metrics.values()))
    elif isinstance(message, Progress):
        _require_finite([message.loss])
    return message


def _decode(decoder: msgspec.msgpack.Decoder[_M], frame: bytes) -> _M:
    if len(frame) > MAX_FRAME_BYTES:
        raise ProtocolError(f"A frame of {len(frame)} bytes is over the limit of {MAX_FRAME_BYTES}.")
    try:
        return decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"A frame of {len(frame)} bytes is not a known message: {error}.") from error


def _require_finite(numbers: Sequence[float]) -> None:
    """Bounds let NaN through, since every comparison with it is false."""
    if not all(map(math.isfinite, numbers)):
        raise ProtocolError("A message holds a number that is not finite.")
