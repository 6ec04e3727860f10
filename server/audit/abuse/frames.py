"""Frames that are not messages: cut, stretched, of the wrong side, and with every field out of its bounds."""

import math
import random
from functools import partial

import msgspec

from server.audit.abuse.case import Case
from server.wire.codec import decode_to_coordinator, decode_to_node
from server.wire.messages import MAX_FRAME_BYTES

_REPLY = {"type": "reply", "request_id": 1, "mode": "scrub", "text": "yes"}
_ASK = {
    "type": "ask", "request_id": 1, "question": "why?", "top_k": 5, "answer_mode": "scrub", "retrieval": "dense",
    "retrieve_only": False, "deadline_s": 5.0,
}  # fmt: skip
_TRAINED = {"type": "trained", "request_id": 1, "num_examples": 3, "metrics": {"loss": 1.0}}

_BAD_REPLIES: tuple[dict[str, object], ...] = (
    {"score": math.nan}, {"score": 1.5}, {"score": -0.1}, {"token_logprob": 0.1}, {"token_logprob": -math.inf},
    {"text": "x" * 40_000}, {"text": b"\xff\xfe"}, {"withheld": "Not A Code"}, {"redactions": {"PERSON": -1}},
    {"redactions": {"no name": 1}}, {"citations": [["no spaces allowed", 0.5]]}, {"citations": [["a", math.nan]]},
    {"citations": [["a", 0.5]] * 101}, {"timings_ms": {"search": math.inf}}, {"passages": ["smuggled"]},
    {"mode": "loud"}, {"request_id": -1}, {"request_id": "1"}, {"epsilon": -1.0}, {"delta": 1.0}, {"type": "oracle"},
)  # fmt: skip
_BAD_ASKS: tuple[dict[str, object], ...] = (
    {"question": ""}, {"question": "x" * 8001}, {"top_k": 0}, {"top_k": 101}, {"answer_mode": "raw"},
    {"retrieval": "magic"}, {"deadline_s": 0.0}, {"deadline_s": 1e9}, {"extra": 1}, {"request_id": 1 << 63},
)  # fmt: skip
_BAD_TRAINED: tuple[dict[str, object], ...] = (
    {"metrics": {"loss": math.nan}}, {"num_examples": -1}, {"update_sha256": "zz"}, {"metrics": {"a b": 1.0}},
    {"metrics": {f"m{number}": 0.0 for number in range(33)}},
)  # fmt: skip


def cases(seed: int) -> list[Case]:
    """Of the codec: named ones, then cuts, trailing bytes and noise."""
    pack, draw = msgspec.msgpack.encode, random.Random(seed)  # noqa: S311 - the attacker's dice
    to_node, to_coordinator = decode_to_node, decode_to_coordinator
    good = [(pack(_REPLY), to_coordinator), (pack(_ASK), to_node), (pack(_TRAINED), to_coordinator)]
    found = [Case("a good message", partial(read, frame), honest=True) for frame, read in good]
    found += [Case("a reply out of bounds", partial(to_coordinator, pack(_REPLY | bad))) for bad in _BAD_REPLIES]
    found += [Case("a question out of bounds", partial(to_node, pack(_ASK | bad))) for bad in _BAD_ASKS]
    found += [Case("a result out of bounds", partial(to_coordinator, pack(_TRAINED | bad))) for bad in _BAD_TRAINED]
    found += [Case("a message of the other side", partial(to_node, good[0][0]))]
    found += [Case("a message of the other side", partial(to_coordinator, good[1][0]))]
    found += [Case("over the cap", partial(read, bytes(MAX_FRAME_BYTES + 1))) for read in (to_node, to_coordinator)]
    found += [Case("nested too deep", partial(read, b"\x91" * 100_000)) for read in (to_node, to_coordinator)]
    for frame, read in good:
        found += [Case("cut", partial(read, frame[:length])) for length in range(len(frame))]
        found += [Case("trailing bytes", partial(read, frame + draw.randbytes(1 + n))) for n in range(20)]
        found += [Case("noise", partial(read, draw.randbytes(draw.randint(1, 300)))) for _ in range(200)]
    return found
