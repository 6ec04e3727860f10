"""Keywords over a coordinator and nodes in one event loop: real sockets, real ledgers and indices, no models."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from frag.privacy.ledger import Ledger
from frag.secagg.messages import Keys
from frag.types import Generation, GenerationRequest
from server.coordinator import lexicon, links
from server.coordinator.query import QueryRequest
from server.node import keyword_voting, process
from server.wire.messages import KeywordStage, Summed
from tests.doubles import HashingEmbedder
from tests.server.in_process import in_process
from tests.server.voting_silos import QUESTION, WORDS, Silos

ASK: Mapping[str, Any] = {"question": QUESTION, "answer_mode": "dp", "dp": "keywords", "deadline_s": 8}


@pytest.fixture
async def silos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Silos]:
    monkeypatch.setattr(lexicon, "load_public", lambda _models: (HashingEmbedder(), WORDS))
    async with contextlib.AsyncExitStack() as stack:
        federation = await stack.enter_async_context(in_process(tmp_path, {"models": {"language_model": "none"}}))
        yield Silos(federation, stack)


async def test_units_of_all_nodes_agree_on_keywords_and_nobody_sees_a_vote(
    silos: Silos, monkeypatch: pytest.MonkeyPatch
) -> None:
    await silos.join("a", "b", "c", "d")
    clear: list[bytes] = []
    noised = keyword_voting.noised

    def seen_noised(votes: Any, rule: Any) -> Any:
        vector = noised(votes, rule)
        clear.extend(part.astype("<u4").tobytes() for part in (votes, votes * rule.scale, vector))
        return vector

    received: list[bytes] = []
    decode = links.decode_to_coordinator

    def seen_decode(frame: bytes) -> Any:
        received.append(frame)
        return decode(frame)

    charged: dict[str, int] = {}
    encode = process.encode

    def seen_encode(message: Any) -> bytes:
        if isinstance(message, Summed):
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                name = msgspec.msgpack.decode(message.content, type=Keys).name
                charged[name] = Ledger.open(silos.ledger(name)).summary()[0].num_units
        return encode(message)

    monkeypatch.setattr(keyword_voting, "noised", seen_noised)
    monkeypatch.setattr(links, "decode_to_coordinator", seen_decode)
    monkeypatch.setattr(process, "encode", seen_encode)
    status, answer = await silos.federation.ask(**ASK)
    assert status == 200, answer
    assert charged == dict.fromkeys("abcd", 13), "charges are on the disk before the first message leaves"

    assert len(clear) == 4 * 3
    assert len(received) == 4 * 5
    assert not [1 for frame in received for votes in clear if votes in frame]
    vectors = [np.frombuffer(msgspec.msgpack.decode(f)["content"], "<u4") for f in received[8:12]]
    assert all(np.median(vector) > 2**24 for vector in vectors), "what came looks like any integers"

    words = [item["word"] for item in answer["keywords"]]
    assert set(words[:3]) == {"cellar", "mortimer", "garden"}, "then, where places are left, words of the question"
    assert set(words[3:]) < {"porter", "keep", "keys"}
    assert [round(item["votes"]) for item in answer["keywords"] if item["word"] == "cellar"] == [48]
    assert round(answer["noisy_count"]) == 52
    assert answer["documents_used"] is True
    assert answer["answer"] == ", ".join(words), "without a language model the keywords are the answer"
    assert [(row["node"], row["epsilon"], row["contributed"]) for row in answer["answered"]] == [
        (name, 900.0, True) for name in "abcd"
    ]
    assert "honest-but-curious coordinator only" in answer["promise"]
    assert "ε = 900 at δ = 1e-05" in answer["promise"]


@pytest.mark.parametrize("stage", ["keys", "shares", "masked", "confirm", "unmask"])
async def test_an_answer_comes_though_one_of_four_dies(silos: Silos, stage: str) -> None:
    await silos.join("a", "b", "c", "d")
    silos.desks["b"].stage = stage
    status, answer = await silos.federation.ask(**ASK)
    assert status == 200, answer
    assert answer["failed"] == [{"node": "b", "code": f"{stage}: disconnected"}]
    voted = 4 if stage in {"confirm", "unmask"} else 3
    assert round(answer["noisy_count"]) == 13 * voted, "a vector that came counts"
    assert "cellar" in {item["word"] for item in answer["keywords"]}


@pytest.mark.parametrize("noise", [b"\xc1", b"\xa1\xfa", b"\x95\xa1\xfa"])
async def test_noise_instead_of_a_reply_costs_the_node_its_own_votes(silos: Silos, noise: bytes) -> None:
    await silos.join("a", "b", "c", "d")
    silos.desks["b"].stage, silos.desks["b"].noise = "keys", noise
    status, answer = await silos.federation.ask(**ASK)
    assert (status, answer["failed"]) == (200, [{"node": "b", "code": "keys: bad_reply"}])


async def test_what_was_charged_stays_charged_when_the_sum_fails(silos: Silos) -> None:
    await silos.join("a", "b", "c")
    silos.desks["b"].stage = "masked"
    status, problem = await silos.federation.ask(**ASK)
    assert (status, problem["code"]) == (409, "secure_sum_failed")
    assert problem["failed"] == [{"node": "b", "code": "masked: disconnected"}]
    for name in "abc":
        assert Ledger.open(silos.ledger(name)).summary()[0].num_units == 13
    await silos.join("d")
    status, answer = await silos.federation.ask(**ASK)
    assert (status, round(answer["noisy_count"])) == (200, 13), "only the newcomer's units could pay"
    assert answer["documents_used"] is False


async def test_a_node_that_hangs_is_left_behind_at_the_deadline_of_its_stage(silos: Silos) -> None:
    await silos.join("a", "b", "c", "d")

    async def hang(_request: KeywordStage) -> bytes:
        await asyncio.Event().wait()
        return b""

    silos.desks["c"].carry_out = hang  # type: ignore[method-assign]
    started = time.monotonic()
    status, answer = await silos.federation.ask(**ASK)
    assert (status, answer["failed"]) == (200, [{"node": "c", "code": "keys: deadline_exceeded"}])
    assert time.monotonic() - started < ASK["deadline_s"]


async def test_too_few_units_are_answered_without_documents_and_told_so(silos: Silos) -> None:
    await silos.join("a", "b", "c", num_documents=4)
    status, answer = await silos.federation.ask(**ASK)
    assert status == 200
    assert (answer["documents_used"], answer["keywords"], answer["answer"]) == (False, [], None)
    assert round(answer["noisy_count"]) == 15
    assert answer["promise"].startswith("Too few units voted")
    assert not any(row["contributed"] for row in answer["answered"])


async def test_a_pinned_roster_changes_what_is_promised(silos: Silos) -> None:
    await silos.join("a", "b", "c", pinned=True)
    _, answer = await silos.federation.ask(**ASK)
    assert "signed roster" in answer["promise"]
    assert "honest-but-curious" not in answer["promise"]
    await silos.join("d", pinned=False)
    status, problem = await silos.federation.ask(**ASK)
    assert (status, problem["code"]) == (409, "secure_sum_failed"), "a, b and c do not know d"


async def test_the_strictest_terms_hold_for_all(silos: Silos) -> None:
    await silos.join("a", "b", epsilon=50.0)
    await silos.join("c", epsilon=4.0, questions=10)
    status, answer = await silos.federation.ask(**ASK)
    assert status == 200, answer
    assert answer["noise_deviation"] == pytest.approx(14.87, abs=0.01), "ten questions within ε = 4"
    assert {row["node"]: row["epsilon"] for row in answer["answered"]} == {"a": 50.0, "b": 50.0, "c": 4.0}


async def test_fewer_than_three_nodes_that_vote_are_refused(silos: Silos) -> None:
    await silos.join("a", "b")
    await silos.join("c", keywords=False)
    status, problem = await silos.federation.ask(**ASK)
    assert (status, problem["code"]) == (503, "quorum_not_met")
    assert "there are 2" in problem["detail"]
    assert "keywords = true" in problem["mend"]
    await silos.join("d")
    status, answer = await silos.federation.ask(**ASK)
    assert (status, answer["withheld"]) == (200, [{"node": "c", "reason": "keywords_not_allowed"}])


async def test_too_many_assumed_colluders_are_refused(silos: Silos) -> None:
    await silos.join("a", "b", "c", colluders=3)
    status, problem = await silos.federation.ask(**ASK)
    assert (status, problem["code"]) == (503, "quorum_not_met")
    assert "collude" in problem["detail"]
    assert Ledger.open(silos.ledger("a")).summary() == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"answer_mode": "scrub"}, 422, "bad_request"),
        ({"retrieve_only": True}, 422, "bad_request"),
        ({"dp": "both"}, 422, "bad_request"),
        ({"nodes": ["nobody"]}, 404, "unknown_node"),
        ({"min_nodes": 4}, 503, "quorum_not_met"),
    ],
)
async def test_what_does_not_fit_is_refused_before_anything_is_spent(
    silos: Silos, changes: Mapping[str, Any], status: int, code: str
) -> None:
    await silos.join("a", "b", "c")
    found, problem = await silos.federation.ask(**{**ASK, **changes})
    assert (found, problem["code"]) == (status, code)
    assert Ledger.open(silos.ledger("a")).summary() == []


async def test_the_language_model_speaks_alone_and_then_from_the_keywords(silos: Silos) -> None:
    from dataclasses import replace

    asked: list[GenerationRequest] = []

    async def write(request: GenerationRequest) -> Generation:
        asked.append(request)
        text = "In the cellar." if request.passages else "Beside a lantern."
        return Generation(text=text, token_logprob=-1.0, num_prompt_tokens=1, num_new_tokens=1)

    await silos.join("a", "b", "c")
    service = silos.federation.state.query.by_keywords.__self__  # type: ignore[union-attr]
    request = QueryRequest(question=QUESTION, answer_mode=ASK["answer_mode"], dp="keywords")
    answer = await replace(service, write=write).answer(request, lambda _name, _payload: None)
    assert answer.answer == "In the cellar."
    assert [bool(item.passages) for item in asked] == [False, True]
    assert "cellar" in asked[1].passages[0]
    assert "Mortimer's" not in asked[1].passages[0], "keywords are public words, never a document's"
    # spent: now nobody votes
    answer = await replace(service, write=write).answer(request, lambda _name, _payload: None)
    assert (answer.answer, answer.documents_used) == ("Beside a lantern.", False)
