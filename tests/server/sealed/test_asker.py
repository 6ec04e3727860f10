"""A sealed question over a real coordinator: answered, unread, and refused wherever something was swapped."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from frag.errors import BadRequestError, NoNodesError, QuorumError, RosterError
from frag.sealing import make_card
from frag.types import AnswerMode, Citation, NodeAnswer
from server.coordinator.answer_views import QueryResponse
from server.coordinator.links import WebSocketLink
from server.sealed.asker import SealedPlan
from server.sealed.trust import Trust
from server.wire.messages import Ask, SealedAsk
from tests.conftest import LoopGuard
from tests.server.in_process import says, withholds
from tests.server.sealed.federation import QUESTION, SealedFederation, make_ask, sealed_federation

SECRET = "In the blue fridge beside room forty-one."


def failures(response: QueryResponse) -> dict[str, str]:
    return {view.node: view.code for view in response.failed}


def link(federation: SealedFederation, node_id: str) -> WebSocketLink:
    found = federation.inner.state.registry.link(node_id)
    assert isinstance(found, WebSocketLink)
    return found


def swap_card(federation: SealedFederation, node_id: str, **changes: Any) -> None:
    """The coordinator lists another key for a node than the node announced."""
    at = link(federation, node_id)
    card = at.ready.sealing_key
    assert card is not None
    at._ready = msgspec.structs.replace(at.ready, sealing_key=msgspec.structs.replace(card, **changes))


async def test_the_coordinator_never_holds_question_or_answer(tmp_path: Path, unblocked_loop: LoopGuard) -> None:
    async with sealed_federation(tmp_path) as federation:
        await federation.join("a", says(SECRET, 0.9, citations=(Citation(document_alias="00ff", score=0.8),)))
        await federation.join("b", says("perhaps upstairs", 0.2))
        await federation.join("c", withholds("no_evidence"))
        trust = federation.trust()
        with unblocked_loop():
            response = await federation.ask(trust=trust)
        # the same in the clear, so that the recording is known to see what there is to see
        crossed = federation.capture.raw() + b"".join(federation.capture.payloads())
        await federation.inner.session.post(
            f"{federation.coordinator.url}/v1/query",
            json={"question": QUESTION},
            headers={"Authorization": f"Bearer {federation.inner.api_key}"},
        )
        control = federation.capture.raw() + b"".join(federation.capture.payloads())
    assert isinstance(response, QueryResponse)
    assert response.answer == SECRET
    assert [(view.node, view.contributed) for view in response.answered] == [("a", True), ("b", False)]
    assert response.answered[0].citations[0].document == "00ff"
    assert [(view.node, view.reason) for view in response.withheld] == [("c", "no_evidence")]
    assert federation.answers["a"].asked[0].question == QUESTION
    for text in (QUESTION, SECRET, "perhaps upstairs", "no_evidence", "00ff", "measles"):
        for form in (text.encode(), base64.b64encode(text.encode()).rstrip(b"="), text.encode().hex().encode()):
            assert form not in crossed
    assert b"sealed_ask" in crossed
    assert QUESTION.encode() in control
    assert SECRET.encode() in control


async def test_only_sources_are_looked_up_when_that_is_asked(tmp_path: Path) -> None:
    async def looks_up(ask: Ask) -> NodeAnswer:
        assert ask.retrieve_only
        return NodeAnswer(node_id="", mode=ask.answer_mode, citations=(Citation(document_alias="0a", score=0.5),))

    async with sealed_federation(tmp_path) as federation:
        await federation.join("a", looks_up)
        response = await federation.ask(ask=make_ask(retrieve_only=True))
    assert isinstance(response, QueryResponse)
    assert response.answer is None
    assert [view.citations[0].document for view in response.answered] == ["0a"]


async def test_votes_are_counted_at_the_asker(tmp_path: Path) -> None:
    async with sealed_federation(tmp_path) as federation:
        for name, text, score in (("a", "nine", 0.5), ("b", "Nine.", 0.4), ("c", "ten", 0.6)):
            await federation.join(name, says(text, score))
        vote = await federation.ask(SealedPlan(aggregation="vote"))
        named = await federation.ask(SealedPlan(nodes=["c"]))
    assert isinstance(vote, QueryResponse)
    assert isinstance(named, QueryResponse)
    assert vote.answer == "nine"
    assert [view.node for view in named.answered] == ["c"]


async def test_what_needs_a_reader_of_all_answers_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with sealed_federation(tmp_path) as federation:
        await federation.join("a", says("yes"))
        with pytest.raises(BadRequestError, match="protect against the asker"):
            await federation.ask(ask=make_ask(mode=AnswerMode.CONSENSUS))
        with pytest.raises(BadRequestError, match="at the asker"):
            await federation.ask(SealedPlan(aggregation="synthesize"))
    assert federation.answers["a"].asked == []


@pytest.mark.parametrize("attack", ["swapped", "own signature", "unsigned", "longer life", "none"])
async def test_a_key_that_the_node_did_not_sign_is_never_sealed_to(tmp_path: Path, attack: str) -> None:
    evil = X25519PrivateKey.generate().public_key().public_bytes_raw()
    signer = Ed25519PrivateKey.generate()
    forged = make_card("a", signer, evil, expires_at=1 << 39)
    changes: dict[str, dict[str, Any]] = {
        "swapped": {"public_key": evil},
        "own signature": msgspec.structs.asdict(forged),
        "unsigned": {"signature": bytes(64)},
        "longer life": {"expires_at": 1 << 39},
    }
    async with sealed_federation(tmp_path) as federation:
        await federation.join("a", says("yes"))
        await federation.join("b", says("no"))
        if attack == "none":
            at = link(federation, "a")
            at._ready = msgspec.structs.replace(at.ready, sealing_key=None)
        else:
            swap_card(federation, "a", **changes[attack])
        response = await federation.ask()
    assert isinstance(response, QueryResponse)
    assert failures(response) == {"a": "not_offered" if attack == "none" else "untrusted_key"}
    assert federation.answers["a"].asked == []
    assert response.answer == "no"


async def test_a_key_of_one_node_is_not_taken_for_anothers(tmp_path: Path) -> None:
    async with sealed_federation(tmp_path) as federation:
        await federation.join("a", says("yes"))
        await federation.join("b", says("no"))
        card = link(federation, "b").ready.sealing_key
        swap_card(federation, "a", **msgspec.structs.asdict(card))
        response = await federation.ask()
    assert isinstance(response, QueryResponse)
    assert failures(response) == {"a": "untrusted_key"}


async def test_a_node_outside_the_roster_is_not_asked(tmp_path: Path) -> None:
    async with sealed_federation(tmp_path) as federation:
        await federation.join("a", says("yes"))
        await federation.join("invented", says("trust me", 1.0))
        response = await federation.ask(trust=federation.trust(without="invented"))
        with pytest.raises(NoNodesError):
            await federation.ask(SealedPlan(nodes=["invented"]), federation.trust(without="invented"))
    assert isinstance(response, QueryResponse)
    assert response.answer == "yes"
    assert failures(response) == {"invented": "not_in_roster"}
    assert federation.answers["invented"].asked == []


async def test_without_a_roster_the_asker_must_say_that_it_trusts_the_coordinator(tmp_path: Path) -> None:
    with pytest.raises(RosterError, match="--trust-coordinator"):
        Trust.load(None, (), trust_coordinator=False)
    async with sealed_federation(tmp_path) as federation:
        await federation.join("a", says("yes"))
        response = await federation.ask(trust=Trust.load(None, (), trust_coordinator=True))
    assert isinstance(response, QueryResponse)
    assert response.answer == "yes"


async def test_a_reply_of_another_question_another_node_or_a_changed_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, bytes] = {}
    honest = WebSocketLink.relay_sealed

    async def changes_a_byte(self: WebSocketLink, make: Any) -> bytes:
        reply = bytearray(await honest(self, make))
        reply[-1] ^= 1
        return bytes(reply)

    async def keeps(self: WebSocketLink, make: Any) -> bytes:
        kept[self.node_id] = await honest(self, make)
        return kept[self.node_id]

    async def gives_another_nodes(self: WebSocketLink, make: Any) -> bytes:
        await honest(self, make)
        return kept["b"]

    async with sealed_federation(tmp_path) as federation:
        await federation.join("a", says("yes"))
        await federation.join("b", says("no"))
        monkeypatch.setattr(WebSocketLink, "relay_sealed", keeps)
        await federation.ask()
        for attack in (changes_a_byte, gives_another_nodes):
            monkeypatch.setattr(WebSocketLink, "relay_sealed", attack)
            with pytest.raises(QuorumError) as refused:
                await federation.ask()
            assert refused.value.details["failed"] == {"a": "bad_reply", "b": "bad_reply"}


async def test_what_the_relay_repeats_changes_or_misdirects_is_refused_by_the_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, SealedAsk] = {}
    honest = WebSocketLink.relay_sealed

    async def keeps(self: WebSocketLink, make: Any) -> bytes:
        sent[self.node_id] = make(0)
        return await honest(self, make)

    async with sealed_federation(tmp_path) as federation:
        await federation.join("a", says("yes"))
        await federation.join("b", says("no"))
        monkeypatch.setattr(WebSocketLink, "relay_sealed", keeps)
        await federation.ask()
        monkeypatch.undo()

        async def again(node_id: str, ask: SealedAsk, **changes: Any) -> str:
            body = {"sealed_id": ask.sealed_id, "envelopes": {node_id: ask.envelope}} | changes
            status, relayed = await federation.inner.post("/v1/sealed", msgspec.json.encode(body))
            assert status == 200
            assert relayed["replies"] == {}
            return str(relayed["failed"][node_id])

        assert await again("a", sent["a"]) == "replayed"
        assert await again("b", sent["a"]) == "bad_envelope"
        assert await again("a", sent["a"], sealed_id=bytes(16)) == "bad_envelope"
        broken = sent["a"].envelope[:-1] + bytes([sent["a"].envelope[-1] ^ 1])
        assert await again("a", sent["a"], envelopes={"a": broken}) == "bad_envelope"
        await federation.stop("a")
        assert await again("a", sent["a"]) == "not_connected"
        await federation.start("a")
        assert await again("a", sent["a"]) == "replayed", "a restart forgets nothing"
        assert len(federation.answers["a"].asked) == 1


async def test_a_node_with_a_list_answers_its_askers_only(tmp_path: Path) -> None:
    async with sealed_federation(tmp_path) as federation:
        listed = federation.key.public_key().public_bytes_raw().hex()
        await federation.join("a", says("yes"), askers=(listed,))
        await federation.join("b", says("no"), askers=("00" * 32,))
        response = await federation.ask()
    assert isinstance(response, QueryResponse)
    assert response.answer == "yes"
    assert failures(response) == {"b": "not_permitted"}


async def test_the_relay_wants_a_key_and_bounds_what_it_takes(tmp_path: Path) -> None:
    async with sealed_federation(tmp_path) as federation:
        post = federation.inner.post
        good = {"sealed_id": base64.b64encode(bytes(16)).decode(), "envelopes": {"a": "AAAA"}}
        assert (await post("/v1/sealed", good, key="frag_wrong"))[0] == 401
        assert await post("/v1/sealed", good) == (200, {"replies": {}, "failed": {"a": "not_connected"}})
        large = base64.b64encode(bytes((1 << 16) + 1)).decode()
        for bad in (
            good | {"sealed_id": "AAAA"},
            good | {"envelopes": {}},
            good | {"envelopes": {"a": large}},
            good | {"envelopes": {"A!": "AAAA"}},
            good | {"deadline_s": 1e9},
        ):
            assert (await post("/v1/sealed", bad))[0] == 422
        assert (await post("/v1/sealed", b"x" * ((4 << 20) + 9)))[0] == 413


async def test_a_straggler_costs_its_own_reply(tmp_path: Path) -> None:
    import asyncio

    async def never(_ask: Ask) -> NodeAnswer:
        await asyncio.sleep(60)
        raise AssertionError

    async with sealed_federation(tmp_path) as federation:
        await federation.join("quick", says("yes"))
        await federation.join("slow", never)
        response = await federation.ask(ask=msgspec.structs.replace(make_ask(), deadline_s=0.4))
        await federation.inner.until(lambda: federation.answers["slow"].cancelled == 1)
    assert isinstance(response, QueryResponse)
    assert response.answer == "yes"
    assert failures(response) == {"slow": "deadline_exceeded"}
