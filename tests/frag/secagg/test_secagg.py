"""The sum is exact for every pattern of survivors, and whoever leaves the protocol is refused."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from frag.errors import SecureSumError, SettingsError
from frag.secagg import Aggregator, Parameters, Participant, Ring, shamir
from frag.secagg.messages import Confirmations, Keys, Roster, Survivors
from frag.secagg.ring import RingArray
from tests.frag.secagg.slow_twin import slow_sum

LENGTH = 5


@dataclass
class Round:
    """n nodes and an aggregator; stages are played by whoever is still there."""

    num_nodes: int
    session: str = "job/0"
    length: int = LENGTH
    participants: dict[str, Participant] = field(default_factory=dict)
    vectors: dict[str, RingArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parameters = Parameters(session=self.session, num_nodes=self.num_nodes, length=self.length)
        names = [f"node-{number}" for number in range(self.num_nodes)]
        self.identities = {name: Ed25519PrivateKey.generate() for name in names}
        self.public = {name: key.public_key().public_bytes_raw() for name, key in self.identities.items()}
        random = np.random.default_rng(self.num_nodes)
        for name in names:
            self.participants[name] = Participant(name, self.identities[name], self.public, self.parameters)
            self.vectors[name] = random.integers(0, 2**32, self.length, dtype=np.uint32)
        self.aggregator = Aggregator(self.public, self.parameters)

    def keys(self, names: Sequence[str] | None = None) -> Roster:
        for name in names or self.participants:
            self.aggregator.add_keys(self.participants[name].advertise())
        return self.aggregator.roster()

    def shares(self, roster: Roster, names: Sequence[str]) -> None:
        for name in names:
            self.aggregator.add_shares(self.participants[name].share(roster))

    def masked(self, names: Sequence[str]) -> Survivors:
        for name in names:
            vector = self.vectors[name]
            self.aggregator.add_masked(self.participants[name].mask(self.aggregator.inbox(name), vector))
        return self.aggregator.survivors()

    def confirmed(self, survivors: Survivors, names: Sequence[str]) -> Confirmations:
        for name in names:
            self.aggregator.add_confirmation(self.participants[name].confirm(survivors))
        return self.aggregator.confirmations()

    def unmasked(self, confirmations: Confirmations, names: Sequence[str]) -> RingArray:
        for name in names:
            self.aggregator.add_unmasking(self.participants[name].unmask(confirmations))
        return self.aggregator.total()

    def up_to_masked(self) -> Survivors:
        names = list(self.participants)
        self.shares(self.keys(), names)
        return self.masked(names)


def expected(vectors: Mapping[str, RingArray], names: Sequence[str]) -> RingArray:
    total = np.zeros(LENGTH, np.uint32)
    for name in names:
        total = total + vectors[name]
    return total


def patterns() -> Iterator[tuple[int, tuple[int, ...]]]:
    for num_nodes in range(3, 11):
        least = Parameters(session="s", num_nodes=num_nodes, length=1).min_survivors
        for size in range(least, num_nodes + 1):
            for survivors in combinations(range(num_nodes), size):
                yield num_nodes, survivors


@pytest.mark.parametrize("num_nodes", range(3, 11))
def test_the_sum_is_exact_for_every_pattern_of_survivors(num_nodes: int) -> None:
    for size, places in patterns():
        if size != num_nodes:
            continue
        played = Round(num_nodes)
        names = list(played.participants)
        survivors = [names[place] for place in places]
        played.shares(played.keys(), names)
        confirmations = played.confirmed(played.masked(survivors), survivors)
        total = played.unmasked(confirmations, survivors)
        np.testing.assert_array_equal(total, expected(played.vectors, survivors))


def test_the_slow_twin_agrees() -> None:
    played = Round(6)
    names = list(played.participants)
    played.shares(played.keys(), names)
    survivors = names[1:]
    total = played.unmasked(played.confirmed(played.masked(survivors), survivors), survivors)
    np.testing.assert_array_equal(total, slow_sum(played.vectors, names, survivors))


def test_nodes_may_drop_out_at_every_stage() -> None:
    played = Round(10)
    names = list(played.participants)
    roster = played.keys(names[:9])
    played.shares(roster, names[:9])
    survivors = played.masked(names[:8])
    confirmations = played.confirmed(survivors, names[1:8])
    total = played.unmasked(confirmations, names[1:8])
    np.testing.assert_array_equal(total, expected(played.vectors, names[:8]))


@pytest.mark.parametrize("stage", ["keys", "shares", "masked", "confirmed", "unmasked"])
def test_too_few_nodes_end_the_round_at_any_stage(stage: str) -> None:
    played = Round(6)  # five are needed
    names = list(played.participants)
    few = names[:4]
    present = dict.fromkeys(("keys", "shares", "masked", "confirmed", "unmasked"), names) | {stage: few}

    def play() -> None:
        played.shares(played.keys(present["keys"]), present["shares"])
        survivors = played.masked(present["masked"])
        played.unmasked(played.confirmed(survivors, present["confirmed"]), present["unmasked"])

    with pytest.raises(SecureSumError, match="left"):
        play()


def test_thresholds_are_those_of_the_specification() -> None:
    found = {
        n: (Parameters(session="s", num_nodes=n, length=1).threshold,
            Parameters(session="s", num_nodes=n, length=1).min_survivors)
        for n in (3, 4, 5, 6, 10, 100)
    }  # fmt: skip
    assert {n: least for n, (_, least) in found.items()} == {3: 3, 4: 3, 5: 4, 6: 5, 10: 7, 100: 67}
    for wrong in (2, 101):
        with pytest.raises(SettingsError):
            Parameters(session="s", num_nodes=wrong, length=1)


def replaced(roster: Roster, name: str, **changes: bytes) -> Roster:
    return Roster(keys=tuple(msgspec.structs.replace(k, **changes) if k.name == name else k for k in roster.keys))


BAD_ROSTERS: Mapping[str, Callable[[Round, Roster], Roster]] = {
    "another mask key": lambda _, roster: replaced(roster, "node-1", mask_key=bytes(range(32))),
    "another channel key": lambda _, roster: replaced(roster, "node-1", channel_key=bytes(range(32))),
    "a node of one's own": lambda played, roster: Roster(keys=(*roster.keys[:-1], _forged(played))),
    "one node alone": lambda _, roster: Roster(keys=roster.keys[:1]),
    "too few": lambda _, roster: Roster(keys=roster.keys[:2]),
    "one node twice": lambda _, roster: Roster(keys=(*roster.keys[:-1], roster.keys[0])),
    "without me": lambda _, roster: Roster(keys=tuple(k for k in roster.keys if k.name != "node-0")),
}


def _forged(played: Round) -> Keys:
    stranger = Participant("node-9", Ed25519PrivateKey.generate(), {}, played.parameters)
    return stranger.advertise()


@pytest.mark.parametrize("kind", BAD_ROSTERS)
def test_a_roster_that_was_tampered_with_is_refused(kind: str) -> None:
    played = Round(4)
    roster = played.keys()
    with pytest.raises(SecureSumError):
        played.participants["node-0"].share(BAD_ROSTERS[kind](played, roster))


def test_keys_of_another_round_are_refused() -> None:
    old = Round(4, session="job/0").participants["node-1"].advertise()
    played = Round(4, session="job/1")
    with pytest.raises(SecureSumError, match="not signed"):
        played.aggregator.add_keys(old)
    roster = played.keys()
    with pytest.raises(SecureSumError, match="not signed"):
        played.participants["node-0"].share(Roster(keys=tuple(old if k.name == "node-1" else k for k in roster.keys)))


def test_nodes_that_were_shown_different_rosters_do_not_open_each_others_shares() -> None:
    played = Round(4)
    roster = played.keys()
    other = Roster(keys=roster.keys[:3])
    played.aggregator.add_shares(played.participants["node-0"].share(roster))
    sent = played.participants["node-1"].share(other)
    inbox = played.aggregator.inbox  # too few came, so the aggregator itself would stop here
    with pytest.raises(SecureSumError):
        inbox("node-0")
    forged = {"node-1": sent.sealed["node-0"]}
    from frag.secagg.messages import Inbox

    with pytest.raises(SecureSumError, match="altered"):
        played.participants["node-0"].mask(Inbox(sealed=forged), played.vectors["node-0"])


def test_survivors_are_confirmed_once_and_unmasked_once() -> None:
    played = Round(4)
    survivors = played.up_to_masked()
    names = list(played.participants)
    node = played.participants["node-0"]
    fewer = Survivors(shared=survivors.shared, masked=survivors.masked[:3])
    played.aggregator.add_confirmation(node.confirm(survivors))
    with pytest.raises(SecureSumError, match="does not follow"):
        node.confirm(fewer)  # asks for the other kind of share of the last node
    confirmations = played.confirmed(survivors, names[1:])
    node.unmask(confirmations)
    with pytest.raises(SecureSumError, match="does not follow"):
        node.unmask(confirmations)


def test_a_node_unmasks_nothing_that_others_did_not_confirm() -> None:
    played = Round(4)
    survivors = played.up_to_masked()
    fewer = Survivors(shared=survivors.shared, masked=survivors.masked[:3])
    liar = played.participants["node-0"].confirm(survivors).signature
    others = {name: played.participants[name].confirm(fewer).signature for name in ("node-1", "node-2")}
    with pytest.raises(SecureSumError, match="1 nodes confirmed"):
        played.participants["node-0"].unmask(Confirmations(signatures={"node-0": liar, **others}))


@pytest.mark.parametrize(
    "change",
    [
        lambda s: Survivors(shared=s.shared, masked=s.masked[:2]),
        lambda s: Survivors(shared=s.shared[1:], masked=s.masked[1:]),
        lambda s: Survivors(shared=s.shared, masked=(*s.masked[1:], "node-9")),
    ],
    ids=["too few", "without me", "a stranger"],
)
def test_survivors_that_cannot_be_are_refused(change: Callable[[Survivors], Survivors]) -> None:
    played = Round(4)
    survivors = played.up_to_masked()
    with pytest.raises(SecureSumError):
        played.participants["node-0"].confirm(change(survivors))


def test_a_helper_that_lies_is_noticed() -> None:
    played = Round(4)
    names = list(played.participants)
    confirmations = played.confirmed(played.up_to_masked(), names)
    for name in names:
        sent = played.participants[name].unmask(confirmations)
        if name == "node-0":
            sent = msgspec.structs.replace(sent, seeds=dict.fromkeys(sent.seeds, bytes(66)))
        played.aggregator.add_unmasking(sent)
    with pytest.raises(SecureSumError):
        played.aggregator.total()


def test_the_aggregator_holds_no_vector_in_the_clear() -> None:
    played = Round(3)
    names = list(played.participants)
    played.shares(played.keys(), names)
    for name in names:
        masked = played.participants[name].mask(played.aggregator.inbox(name), np.zeros(LENGTH, np.uint32))
        assert np.frombuffer(masked.vector, "<u4").any()
        assert len(masked.vector) == 4 * LENGTH


@given(st.binary(min_size=32, max_size=32), st.integers(1, 9), st.integers(0, 5), st.randoms())
def test_any_t_shares_open_a_secret(secret: bytes, threshold: int, more: int, random: object) -> None:
    shares = dict(enumerate(shamir.split(secret, threshold, threshold + more), 1))
    chosen = random.sample(sorted(shares), threshold)  # type: ignore[attr-defined]
    assert shamir.combine({point: shares[point] for point in chosen}, threshold) == secret
    if threshold > 1:
        with pytest.raises(ValueError, match="needed"):
            shamir.combine({point: shares[point] for point in chosen[1:]}, threshold)


def test_the_ring_keeps_a_weighted_mean() -> None:
    ring = Ring(length=3, bound=2.0, num_nodes=100)
    values = [np.array([1.0, -0.5, 9.0], np.float32), np.array([0.0, 0.25, 2.0], np.float32)]
    total = ring.encode(values[0], 0.75) + ring.encode(values[1], 0.25)
    np.testing.assert_allclose(ring.mean(total), [0.75, -0.3125, 2.0], atol=1e-5)
    for wrong in (np.array([np.nan, 0, 0], np.float32), np.zeros(4, np.float32)):
        with pytest.raises(Exception, match="summed"):
            ring.encode(wrong, 1.0)


def test_a_hundred_nodes_at_the_bound_do_not_wrap() -> None:
    ring = Ring(length=2, bound=0.5, num_nodes=100)
    total = np.zeros(3, np.uint32)
    for _ in range(100):
        total = total + ring.encode(np.array([0.5, -0.5], np.float32), 1.0)
    np.testing.assert_allclose(ring.mean(total), [0.5, -0.5], rtol=1e-6)
