"""Frames: what goes in comes out; what does not fit is refused, never crashes."""

import contextlib
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.errors import ProtocolError
from frag.types import AnswerMode, RetrievalMode
from server.wire.codec import decode_to_coordinator, decode_to_node, encode
from server.wire.messages import MAX_FRAME_BYTES, Ask, Cancel, Failed, Reply, WireCitation

replies = st.builds(
    Reply,
    request_id=st.integers(0, 1 << 62),
    mode=st.sampled_from(AnswerMode),
    text=st.text(max_size=200),
    withheld=st.from_regex(r"\A[a-z_]{0,64}\Z"),
    score=st.floats(0, 1),
    token_logprob=st.floats(-100, 0),
    redactions=st.dictionaries(st.from_regex(r"\A[A-Z_]{1,20}\Z"), st.integers(0, 1000), max_size=4),
    citations=st.lists(st.builds(WireCitation, st.from_regex(r"\A[0-9a-f]{16}\Z"), st.floats(-1, 1)), max_size=5).map(
        tuple
    ),
)


@given(replies)
def test_a_reply_survives_the_wire(reply: Reply) -> None:
    assert decode_to_coordinator(encode(reply)) == reply


@given(st.text(min_size=1, max_size=300), st.integers(1, 100), st.sampled_from(RetrievalMode))
def test_a_question_survives_the_wire(question: str, top_k: int, retrieval: RetrievalMode) -> None:
    ask = Ask(
        request_id=7,
        question=question,
        top_k=top_k,
        answer_mode=AnswerMode.SCRUB,
        retrieval=retrieval,
        retrieve_only=False,
        deadline_s=1.5,
    )
    assert decode_to_node(encode(ask)) == ask


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_a_protocol_error(frame: bytes) -> None:
    for decode in (decode_to_node, decode_to_coordinator):
        with contextlib.suppress(ProtocolError):
            decode(frame)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=20))
def test_any_msgpack_value_is_a_message_or_a_protocol_error(value: object) -> None:
    try:
        frame = msgspec.msgpack.encode({"type": "reply", "request_id": value, "mode": value})
    except (OverflowError, ValueError):
        return
    with pytest.raises(ProtocolError):
        decode_to_coordinator(frame)


@pytest.mark.parametrize(
    "changes",
    [
        {"score": math.nan},
        {"score": 1.5},
        {"token_logprob": 0.1},
        {"token_logprob": -math.inf},
        {"text": "x" * 40_000},
        {"withheld": "Not A Code"},
        {"redactions": {"PERSON": -1}},
        {"citations": [["no spaces allowed", 0.5]]},
        {"citations": [["a", math.nan]]},
        {"citations": [["a", 0.5]] * 101},
        {"timings_ms": {"search": math.inf}},
        {"passages": ["smuggled"]},
        {"mode": "loud"},
    ],
)
def test_a_lying_reply_is_refused(changes: dict[str, object]) -> None:
    good = {"type": "reply", "request_id": 1, "mode": "scrub", "text": "ok"}
    assert isinstance(decode_to_coordinator(msgspec.msgpack.encode(good)), Reply)
    with pytest.raises(ProtocolError):
        decode_to_coordinator(msgspec.msgpack.encode(good | changes))


def test_no_text_shows_in_a_trace() -> None:
    reply = Reply(request_id=1, mode=AnswerMode.SCRUB, text="a secret")
    assert repr(reply) == "Reply()"


def test_each_side_refuses_the_messages_of_the_other() -> None:
    with pytest.raises(ProtocolError):
        decode_to_coordinator(encode(Cancel(request_id=1)))
    with pytest.raises(ProtocolError):
        decode_to_node(encode(Failed(request_id=1, code="internal")))


def test_frames_over_the_cap_are_refused_unread() -> None:
    with pytest.raises(ProtocolError, match="over the limit"):
        decode_to_node(bytes(MAX_FRAME_BYTES + 1))
