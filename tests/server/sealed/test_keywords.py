"""Keywords of sealed questions: the asker collects the sum, and the relay learns nothing of it."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import BadRequestError, QuorumError, SecureSumError
from frag.privacy.ledger import Ledger
from server.coordinator.keyword_response import KeywordResponse
from server.coordinator.keyword_terms import strictest
from server.sealed.channel import Coordinator
from server.sealed.keywords import KeywordPlan, ask_keywords_sealed
from server.sealed.trust import Trust
from server.wire.messages import KeywordTerms
from tests.e2e.capture import Capture, capturing_relay
from tests.server.in_process import in_process
from tests.server.voting_silos import QUESTION, WORDS, Silos


class Asker:
    def __init__(self, silos: Silos, capture: Capture) -> None:
        self.silos = silos
        self.capture = capture
        self.key = Ed25519PrivateKey.generate()

    async def ask(self, words: Sequence[str] = WORDS, **changes: Any) -> KeywordResponse:
        plan: dict[str, Any] = {"question": QUESTION, "words": words, "deadline_s": 30, **changes}
        url, api_key = f"http://127.0.0.1:{self.capture.port}", self.silos.federation.api_key
        coordinator = Coordinator(url=url, api_key=api_key)
        return await ask_keywords_sealed(coordinator, Trust(None), self.key, KeywordPlan(**plan))


@pytest.fixture
async def asker(tmp_path: Path) -> AsyncIterator[Asker]:
    async with contextlib.AsyncExitStack() as stack:
        federation = await stack.enter_async_context(in_process(tmp_path, {"models": {"language_model": "none"}}))
        assert federation.server.port
        capture = await stack.enter_async_context(capturing_relay(federation.server.port))
        yield Asker(Silos(federation, stack), capture)


async def test_the_asker_alone_learns_what_units_agree_on(asker: Asker) -> None:
    await asker.silos.join("a", "b", "c")
    response = await asker.ask()
    assert {view.word for view in response.keywords[:2]} == {"cellar", "mortimer"}
    assert response.answer == ", ".join(view.word for view in response.keywords)
    assert response.noisy_count == pytest.approx(39, abs=3)
    assert [view.node for view in response.answered] == ["a", "b", "c"]
    for node in "abc":
        spent = Ledger.open(asker.silos.ledger(node)).spends("notes")
        assert len(spent) == 13
        assert len(set(spent)) == 1, "every unit has paid once"
    crossed = asker.capture.raw() + b"".join(asker.capture.payloads())
    assert b"envelopes" in crossed
    for text in (QUESTION, "cellar", "mortimer", "lantern"):
        assert text.encode() not in crossed


async def test_a_node_that_is_lost_costs_its_own_votes(asker: Asker) -> None:
    await asker.silos.join("a", "b", "c", "d")
    asker.silos.desks["d"].stage = "masked"
    response = await asker.ask()
    assert [view.node for view in response.answered] == ["a", "b", "c"]
    assert [view.node for view in response.failed] == ["d"]
    assert {view.word for view in response.keywords[:2]} == {"cellar", "mortimer"}


async def test_nodes_that_do_not_vote_are_named_and_too_few_are_refused(asker: Asker) -> None:
    await asker.silos.join("a", "b", "c")
    await asker.silos.join("quiet", keywords=False)
    response = await asker.ask()
    assert [(view.node, view.reason) for view in response.withheld] == [("quiet", "keywords_not_allowed")]
    with pytest.raises(QuorumError, match="need 3"):
        await asker.ask(nodes=["a", "b", "quiet"])


async def test_an_asker_with_changed_software_gets_no_vote_under_less_noise(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asker.silos.join("a", "b", "c", epsilon=8.0)
    generous = KeywordTerms(rho=9.0, colluders=0, epsilon=900.0, delta=1e-5, is_pinned=False)
    rule = strictest([generous] * 3)
    monkeypatch.setattr("server.sealed.keywords.strictest", lambda _terms: rule)
    with pytest.raises(SecureSumError) as refused:
        await asker.ask()
    assert {failure["node"] for failure in refused.value.details["failed"]} == {"a", "b", "c"}
    assert Ledger.open(asker.silos.ledger("a")).spends("notes") == []


async def test_words_to_vote_for_are_the_askers_to_name(asker: Asker) -> None:
    with pytest.raises(BadRequestError, match="nothing to vote for"):
        await asker.ask(words=())
