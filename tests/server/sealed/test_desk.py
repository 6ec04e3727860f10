"""What a node checks before it answers a sealed question: who, when, for whom, and in which mode."""

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from frag.errors import SealingError
from frag.sealing import info_of, seal
from frag.types import AnswerMode
from server.rate import TokenBucket
from server.sealed.contents import MAX_LIFETIME_S, Inquiry, encode_inquiry
from server.sealed.desk import CLOCK_SKEW_S, SealedDesk
from server.sealed.keys import SealingKeys
from server.sealed.replays import ReplayCache
from server.wire.messages import SealedAsk
from tests.server.in_process import ScriptedAnswers, says
from tests.server.sealed.federation import make_ask

NOW = 1_000_000
ASKER, STRANGER, IDENTITY = (Ed25519PrivateKey.generate() for _ in range(3))


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    replays = ReplayCache.open(tmp_path / "seen.db")
    yield SealedDesk(
        node_id="a",
        identity=IDENTITY,
        keys=SealingKeys(tmp_path, "a", IDENTITY, lambda: NOW),
        replays=replays,
        askers=frozenset({ASKER.public_key().public_bytes_raw()}),
        bucket=TokenBucket(100),
        answers=ScriptedAnswers(says("yes")),
        clock=lambda: NOW,
    )
    replays.close()


def sealed(desk: SealedDesk, signer: Ed25519PrivateKey = ASKER, content: bytes = b"", **changes: Any) -> SealedAsk:
    terms: dict[str, Any] = {
        "asker": ASKER.public_key().public_bytes_raw(),
        "reply_key": X25519PrivateKey.generate().public_key().public_bytes_raw(),
        "issued_at": NOW,
        "expires_at": NOW + 60,
        "wanted": make_ask(),
    }
    content = content or encode_inquiry(Inquiry(**(terms | changes)))
    sealed_id = os.urandom(16)
    envelope = seal(content, signer, desk.card().public_key, info_of("ask", "a", sealed_id))
    return SealedAsk(request_id=1, sealed_id=sealed_id, envelope=envelope, deadline_s=5)


async def code_of(desk: SealedDesk, request: SealedAsk) -> str:
    with pytest.raises(SealingError) as refused:
        await desk.answer(request)
    return refused.value.code


async def test_an_asker_on_the_list_gets_a_padded_reply(desk: SealedDesk) -> None:
    reply = await desk.answer(sealed(desk))
    assert (len(reply) - 48) % 256 == 0


async def test_a_stranger_is_refused_under_its_own_name_and_under_anothers(desk: SealedDesk) -> None:
    own = {"asker": STRANGER.public_key().public_bytes_raw()}
    assert await code_of(desk, sealed(desk, STRANGER, **own)) == "not_permitted"
    assert await code_of(desk, sealed(desk, STRANGER)) == "bad_envelope"


@pytest.mark.parametrize(
    ("issued_at", "expires_at", "code"),
    [
        (NOW - 100, NOW, "expired"),
        (NOW + CLOCK_SKEW_S + 1, NOW + 60, "bad_time"),
        (NOW, NOW + MAX_LIFETIME_S + 1, "bad_time"),
        (NOW - 2000, NOW + 60, "bad_time"),
    ],
)
async def test_a_question_lives_for_a_short_time_around_now(
    desk: SealedDesk, issued_at: int, expires_at: int, code: str
) -> None:
    assert await code_of(desk, sealed(desk, issued_at=issued_at, expires_at=expires_at)) == code


async def test_consensus_is_refused_at_the_node_too(desk: SealedDesk) -> None:
    assert await code_of(desk, sealed(desk, wanted=make_ask(mode=AnswerMode.CONSENSUS))) == "mode_not_allowed"


async def test_what_is_no_question_is_refused(desk: SealedDesk) -> None:
    assert await code_of(desk, sealed(desk, content=b"\xc1 nothing")) == "bad_envelope"


async def test_a_refused_question_does_not_reach_the_documents(desk: SealedDesk) -> None:
    assert await code_of(desk, sealed(desk, STRANGER)) == "bad_envelope"
    assert isinstance(desk.answers, ScriptedAnswers)
    assert desk.answers.asked == []


async def test_too_many_questions_are_refused(desk: SealedDesk) -> None:
    codes = []
    for _ in range(30):
        try:
            await desk.answer(sealed(desk))
        except SealingError as error:
            codes.append(error.code)
    assert set(codes) == {"rate_limited"}
