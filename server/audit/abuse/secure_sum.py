"""A coordinator, or a node, that leaves the protocol of secure aggregation."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.secagg import Aggregator, Parameters, Participant
from frag.secagg.messages import Confirmations, Inbox, Keys, Masked, Roster, Survivors, Unmasking
from frag.secagg.ring import RingArray
from server.audit.abuse.case import Case

_LENGTH = 4


class Play:
    """A sum of `num_nodes` honest nodes, played stage by stage until somebody deviates."""

    def __init__(self, num_nodes: int = 4, session: str = "job/1") -> None:
        self.parameters = Parameters(session=session, num_nodes=num_nodes, length=_LENGTH)
        self.names = [f"node-{number}" for number in range(num_nodes)]
        self.identities = {name: Ed25519PrivateKey.generate() for name in self.names}
        self.public = {name: key.public_key().public_bytes_raw() for name, key in self.identities.items()}
        self.nodes = {n: Participant(n, self.identities[n], self.public, self.parameters) for n in self.names}
        self.aggregator = Aggregator(self.public, self.parameters)
        self.vector = np.arange(_LENGTH, dtype=np.uint32)

    @property
    def victim(self) -> Participant:
        return self.nodes["node-0"]

    def roster(self) -> Roster:
        for node in self.nodes.values():
            self.aggregator.add_keys(node.advertise())
        return self.aggregator.roster()

    def shared(self) -> None:
        roster = self.roster()
        for node in self.nodes.values():
            self.aggregator.add_shares(node.share(roster))

    def masked(self, names: Sequence[str] | None = None) -> Survivors:
        self.shared()
        for name in names or self.names:
            self.aggregator.add_masked(self.nodes[name].mask(self.aggregator.inbox(name), self.vector))
        return self.aggregator.survivors()

    def confirmed(self) -> Confirmations:
        survivors = self.masked()
        for node in self.nodes.values():
            self.aggregator.add_confirmation(node.confirm(survivors))
        return self.aggregator.confirmations()

    def total(self) -> RingArray:
        confirmations = self.confirmed()
        for node in self.nodes.values():
            self.aggregator.add_unmasking(node.unmask(confirmations))
        return self.aggregator.total()


def _roster_with(change: Callable[[Play, Roster], Sequence[Keys]]) -> Callable[[], object]:
    def attempt() -> object:
        play = Play()
        return play.victim.share(Roster(keys=tuple(change(play, play.roster()))))

    return attempt


def _replaced(roster: Roster, **changes: bytes) -> list[Keys]:
    return [msgspec.structs.replace(k, **changes) if k.name == "node-1" else k for k in roster.keys]


def _own_keys(play: Play, name: str) -> Keys:
    """Keys that a coordinator makes and signs itself."""
    return Participant(name, Ed25519PrivateKey.generate(), play.public, play.parameters).advertise()


def _substituted(play: Play, roster: Roster) -> list[Keys]:
    return [_own_keys(play, k.name) if k.name == "node-1" else k for k in roster.keys]


def _of_another_round() -> object:
    old, play = Play(session="job/0"), Play(session="job/1")
    participant = Participant("node-1", play.identities["node-1"], play.public, old.parameters)
    keys = [participant.advertise() if k.name == "node-1" else k for k in play.roster().keys]
    return play.victim.share(Roster(keys=tuple(keys)))


def _both_shares_by_two_sets() -> object:
    """Confirms that node-3 is there, then asks as if it were not: its mask key beside its seed."""
    play = Play()
    survivors = play.masked()
    play.victim.confirm(survivors)
    return play.victim.confirm(Survivors(shared=survivors.shared, masked=survivors.masked[:3]))


def _both_shares_by_split_view() -> object:
    """Tells the victim one set of survivors, and shows it the confirmations of another."""
    play = Play()
    survivors = play.masked()
    fewer = Survivors(shared=survivors.shared, masked=survivors.masked[:3])
    signatures = {name: play.nodes[name].confirm(fewer).signature for name in play.names[1:3]}
    signatures["node-0"] = play.victim.confirm(survivors).signature
    return play.victim.unmask(Confirmations(signatures=signatures))


def _twice_unmasked() -> object:
    play = Play()
    confirmations = play.confirmed()
    play.victim.unmask(confirmations)
    return play.victim.unmask(confirmations)


def _unconfirmed() -> object:
    play = Play()
    play.victim.confirm(play.masked())
    return play.victim.unmask(Confirmations(signatures={}))


def _forged_confirmations() -> object:
    play = Play()
    play.victim.confirm(play.masked())
    return play.victim.unmask(Confirmations(signatures=dict.fromkeys(play.names, bytes(64))))


def _survivors_with(change: Callable[[Survivors], Survivors]) -> Callable[[], object]:
    def attempt() -> object:
        play = Play()
        return play.victim.confirm(change(play.masked()))

    return attempt


def _altered_share() -> object:
    play = Play()
    play.shared()
    sealed = dict(play.aggregator.inbox("node-0").sealed)
    sealed["node-1"] = sealed["node-1"][:-1] + bytes([sealed["node-1"][-1] ^ 1])
    return play.victim.mask(Inbox(sealed=sealed), play.vector)


def _share_of_another_receiver() -> object:
    play = Play()
    play.shared()
    sealed = dict(play.aggregator.inbox("node-0").sealed)
    sealed["node-1"] = play.aggregator.inbox("node-2").sealed["node-1"]
    return play.victim.mask(Inbox(sealed=sealed), play.vector)


def _few_shares() -> object:
    play = Play()
    play.shared()
    sealed = dict(list(play.aggregator.inbox("node-0").sealed.items())[:1])
    return play.victim.mask(Inbox(sealed=sealed), play.vector)


def _second_vector() -> object:
    play = Play()
    play.shared()
    inbox = play.aggregator.inbox("node-0")
    play.victim.mask(inbox, play.vector)
    return play.victim.mask(inbox, play.vector + np.uint32(1))


def _late_vector() -> None:
    play = Play()
    play.masked(play.names[:3])
    late = play.nodes["node-3"].mask(play.aggregator.inbox("node-3"), play.vector)
    play.aggregator.add_masked(late)


def _forged_vector(name: str, size: int) -> Callable[[], object]:
    def attempt() -> None:
        play = Play()
        play.shared()
        play.aggregator.add_masked(Masked(name=name, vector=bytes(size)))

    return attempt


def _false_helper() -> object:
    play = Play()
    confirmations = play.confirmed()
    for name in play.names:
        sent = play.nodes[name].unmask(confirmations)
        if name == "node-1":
            sent = Unmasking(name=name, seeds=dict.fromkeys(sent.seeds, bytes(66)), mask_keys={})
        play.aggregator.add_unmasking(sent)
    return play.aggregator.total()


def cases() -> list[Case]:
    """Of the state machines of `frag.secagg`."""
    return [
        Case("four honest nodes", lambda: Play().total(), honest=True),
        Case("a roster of one", _roster_with(lambda _, roster: roster.keys[:1])),
        Case("a roster of too few", _roster_with(lambda _, roster: roster.keys[:2])),
        Case("one node twice", _roster_with(lambda _, roster: (*roster.keys[:3], roster.keys[0]))),
        Case("without this node", _roster_with(lambda _, roster: roster.keys[1:])),
        Case("key substitution: mask key", _roster_with(lambda _, r: _replaced(r, mask_key=bytes(range(32))))),
        Case("key substitution: channel key", _roster_with(lambda _, r: _replaced(r, channel_key=bytes(range(32))))),
        Case("key substitution: commitment", _roster_with(lambda _, r: _replaced(r, commitment=bytes(32)))),
        Case("key substitution: all, signed by another", _roster_with(_substituted)),
        Case("bad signature", _roster_with(lambda _, r: _replaced(r, signature=bytes(64)))),
        Case("an invented node", _roster_with(lambda p, r: (*r.keys[:3], _own_keys(p, "node-9")))),
        Case("wrong round: keys of another session", _of_another_round),
        Case("both share types: two sets of survivors", _both_shares_by_two_sets),
        Case("both share types: a split view", _both_shares_by_split_view),
        Case("replay: unmasking twice", _twice_unmasked),
        Case("unmasking what nobody confirmed", _unconfirmed),
        Case("bad signature: forged confirmations", _forged_confirmations),
        Case("too few survivors", _survivors_with(lambda s: Survivors(shared=s.shared, masked=s.masked[:2]))),
        Case("survivors without this node", _survivors_with(lambda s: Survivors(shared=s.shared, masked=s.masked[1:]))),
        Case("a strange survivor", _survivors_with(lambda s: Survivors(shared=s.shared, masked=(*s.masked, "node-9")))),
        Case("an altered share", _altered_share),
        Case("a share for somebody else", _share_of_another_receiver),
        Case("too few shares", _few_shares),
        Case("replay: a second vector", _second_vector),
        Case("a late vector", _late_vector),
        Case("a stranger's vector", _forged_vector("node-9", 4 * _LENGTH)),
        Case("a vector of another length", _forged_vector("node-0", 4 * _LENGTH - 4)),
        Case("false shares from a helper", _false_helper),
    ]
