"""What crosses the wire: questions one way, released answers the other, and no passage."""

from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from frag.policy_settings import PolicySettings
from frag.privacy.verbatim import VerbatimGuard
from frag.settings import ModelSettings
from server.local_federation import free_port
from server.wire.codec import decode_to_coordinator
from server.wire.messages import Reply
from tests.e2e.capture import Capture, capturing_relay
from tests.e2e.conftest import silos
from tests.e2e.corpus import CANARIES, HARD, QUESTIONS, SILOS

PASSAGES = [text for files in SILOS.values() for text in files.values()]


async def capture_an_evaluation(folder: Path) -> tuple[Capture, list[dict[str, object]]]:
    port = free_port()
    async with (
        capturing_relay(port) as capture,
        silos(folder, SILOS, capture.port, port) as federation,
        aiohttp.ClientSession() as session,
    ):
        answers = [
            await federation.ask(session, question=question, aggregation=method, deadline_s=100)
            for question, method in zip(QUESTIONS, ["best", "vote", "medoid"] * 4, strict=True)
        ]
    return capture, answers


@pytest.mark.timeout(280)
async def test_no_passage_and_no_hard_canary_crosses_the_wire(
    tmp_path: Path, real_models: ModelSettings, record_property: Callable[[str, object], None]
) -> None:
    capture, answers = await capture_an_evaluation(tmp_path)
    payloads = capture.payloads()
    replies = [m for p in payloads if isinstance(m := _try_decode(p), Reply)]

    assert {a["http_status"] for a in answers} == {200}
    assert len(replies) == len(QUESTIONS) * len(SILOS), "every frame was read"
    assert sum(bool(a["answer"]) for a in answers) >= 6, "there is something to leak"

    crossed = b"\n".join([capture.raw(), *payloads]).decode("utf-8", "replace")
    leaked = [c.kind for c in CANARIES if c.value in crossed]
    record_property("canaries", f"{len(leaked)} of {len(CANARIES)} crossed: {sorted(leaked)}")
    print(f"canaries that crossed: {sorted(leaked)} of {len(CANARIES)}")
    assert not [kind for kind in leaked if kind in HARD]
    squeezed = crossed.replace(" ", "").replace("-", "")
    for canary in CANARIES:
        if canary.kind in HARD:
            assert canary.value.replace(" ", "").replace("-", "") not in squeezed

    guard = VerbatimGuard(PASSAGES, PolicySettings().verbatim_limit_tokens)
    for payload in payloads:
        assert not guard.copies(payload.decode("utf-8", "replace"))
    for answer in answers:
        assert not guard.copies(str(answer["answer"] or ""))

    logs = "".join(file.read_text() for file in (tmp_path / "logs").glob("*.log"))
    assert "question_hash" in logs
    assert not guard.copies(logs)
    assert not [text for text in (*QUESTIONS, *(c.value for c in CANARIES)) if text in logs]


def _try_decode(payload: bytes) -> object:
    from frag.errors import ProtocolError

    try:
        return decode_to_coordinator(payload)
    except ProtocolError:
        return None
