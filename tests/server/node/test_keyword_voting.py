"""A node's part in a sum of votes: its own terms hold, units pay first, and nothing is said to a question twice."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import ForbiddenError, LedgerError, SecureSumError, SettingsError
from frag.policy_settings import DpSettings
from frag.privacy.ledger import Ledger
from frag.secagg import Parameters, Participant
from frag.secagg.messages import Inbox, Keys, Roster, Shares
from server.node.keyword_voting import KeywordDesk, KeywordStart, session_name
from server.wire.messages import KeywordStage, SumStageName

IDENTITIES = {name: Ed25519PrivateKey.generate() for name in "abc"}
PUBLIC = {name: key.public_key().public_bytes_raw() for name, key in IDENTITIES.items()}
QUERY = "0" * 32
START: Mapping[str, Any] = {
    "question": "Where are the keys?",
    "candidates": ("door", "cellar"),
    "noise_multiplier": 1.0,
    "colluders": 1,
    "max_votes": 10,
    "peers": PUBLIC,
}


class Units:
    """Two documents that pay from a real ledger."""

    rho = 0.5

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def paid_passages(self, question: str, rho: float, query_id: str) -> list[str]:
        assert question == START["question"]
        able = self.ledger.charge({"one": "notes", "two": "notes"}, rho, 1.0, query_id)
        return ["Behind the door." for _ in able]


def desk(folder: Path, *, pinned: Mapping[str, bytes] | None = None, reason: str = "", **settings: Any) -> KeywordDesk:
    return KeywordDesk(
        node_id="a",
        identity=IDENTITIES["a"],
        settings=DpSettings(**settings),
        units=Units(Ledger.open(folder / "ledger.db")),
        admit=lambda: reason,
        pinned=pinned,
    )


def stage(name: SumStageName, content: object, query_id: str = QUERY) -> KeywordStage:
    packed = content if isinstance(content, bytes) else msgspec.msgpack.encode(content)
    return KeywordStage(request_id=1, query_id=query_id, stage=name, content=packed)


def start(**changes: Any) -> KeywordStart:
    return KeywordStart(**{**START, **changes})


def spent(folder: Path) -> float:
    return Ledger.open(folder / "ledger.db").spent_by("one")


async def test_units_pay_before_the_first_word_even_if_nothing_follows(tmp_path: Path) -> None:
    reply = await desk(tmp_path).carry_out(stage("keys", start()))
    assert msgspec.msgpack.decode(reply, type=Keys).name == "a"
    assert spent(tmp_path) == 0.5, "ρ = 1 / (2σ²)"


async def test_a_question_is_answered_once_also_after_a_restart(tmp_path: Path) -> None:
    await desk(tmp_path).carry_out(stage("keys", start()))
    for changes in ({}, {"candidates": ("oak",)}):
        with pytest.raises(LedgerError, match="charged before"):
            await desk(tmp_path).carry_out(stage("keys", start(**changes)))
    assert spent(tmp_path) == 0.5


async def test_the_nodes_own_terms_hold(tmp_path: Path) -> None:
    place = desk(tmp_path, colluders=1)
    assert (place.terms.rho, place.terms.colluders, place.terms.is_pinned) == (0.5, 1, False)
    for changes in ({"noise_multiplier": 0.999}, {"colluders": 0}):
        with pytest.raises(ForbiddenError, match="more noise"):
            await place.carry_out(stage("keys", start(**changes)))
    with pytest.raises(ForbiddenError, match="rate_limited"):
        await desk(tmp_path, reason="rate_limited").carry_out(stage("keys", start()))
    assert spent(tmp_path) == 0.0
    await place.carry_out(stage("keys", start(noise_multiplier=2.0)))
    assert spent(tmp_path) == 0.125, "a sum under more noise costs less"


async def test_a_budget_that_no_keyword_survives_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Units, "rho", 9e-7)
    with pytest.raises(SettingsError, match="keywords = false"):
        desk(tmp_path)


async def test_peers_that_are_not_who_they_should_be_are_refused(tmp_path: Path) -> None:
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    for peers in (PUBLIC | {"c": other}, PUBLIC | {"d": other}):
        with pytest.raises(SecureSumError, match="signed roster"):
            await desk(tmp_path, pinned=PUBLIC).carry_out(stage("keys", start(peers=peers)))
    for peers, reason in (
        (PUBLIC | {"d": PUBLIC["c"]}, "one key"),
        ({"b": PUBLIC["b"], "c": PUBLIC["c"], "d": other}, "not among"),
        ({"a": PUBLIC["a"], "b": PUBLIC["b"]}, "3 to 100 nodes"),
    ):
        with pytest.raises(SecureSumError, match=reason):
            await desk(tmp_path).carry_out(stage("keys", start(peers=peers)))
    with pytest.raises(SecureSumError, match="collude"):
        await desk(tmp_path).carry_out(stage("keys", start(colluders=3)))
    assert spent(tmp_path) == 0.0


async def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    place = desk(tmp_path)
    with pytest.raises(SecureSumError, match="under way"):
        await place.carry_out(stage("masked", b""))
    many = tuple(f"w{number}" for number in range(257))
    for content in (b"", start(candidates=many), start(candidates=("x" * 41,)), start(max_votes=0)):
        with pytest.raises(SecureSumError, match="something else"):
            await place.carry_out(stage("keys", content))
    await place.carry_out(stage("keys", start()))
    with pytest.raises(SecureSumError, match="does not follow"):
        await place.carry_out(stage("masked", Inbox(sealed={})))


async def test_nodes_that_were_told_different_things_agree_on_nothing(tmp_path: Path) -> None:
    for told, is_same in ((start(), True), (start(noise_multiplier=1.5), False)):
        (tmp_path / str(is_same)).mkdir()
        place = desk(tmp_path / str(is_same))
        session = session_name(QUERY, msgspec.msgpack.encode(told))
        parameters = Parameters(session=session, num_nodes=3, length=3)
        peers = [Participant(name, IDENTITIES[name], PUBLIC, parameters) for name in "bc"]
        mine = msgspec.msgpack.decode(await place.carry_out(stage("keys", start())), type=Keys)
        roster = stage("shares", Roster(keys=(mine, *(peer.advertise() for peer in peers))))
        if is_same:
            assert msgspec.msgpack.decode(await place.carry_out(roster), type=Shares).name == "a"
        else:
            with pytest.raises(SecureSumError, match="not signed"):
                await place.carry_out(roster)


async def test_two_requests_at_once_get_one_vector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two masked vectors under one seed would tell their difference."""
    place = desk(tmp_path)
    await place.carry_out(stage("keys", start()))
    vectors: list[Any] = []

    def mask(self: Participant, inbox: Inbox, vector: Any) -> Any:
        del inbox
        if self._stage != 1:
            raise SecureSumError("again")
        vectors.append(vector)
        time.sleep(0.05)
        self._stage = 3  # type: ignore[assignment]
        return type("Sent", (), {"vector": np.zeros(3, "<u4").tobytes()})

    monkeypatch.setattr(Participant, "mask", mask)
    outcomes = await asyncio.gather(
        *(place.carry_out(stage("masked", Inbox(sealed={}))) for _ in range(3)), return_exceptions=True
    )
    assert sum(isinstance(outcome, bytes) for outcome in outcomes) == 1
    assert len(vectors) == 1
