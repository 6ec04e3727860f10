"""Which sealing keys the asker believes, and the asker's own key."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import ProtocolError, RosterError, SealingError
from frag.roster import pinned_nodes
from frag.sealing import KeyCard, check_card
from server.wire import identity
from server.wire.messages import NodeId


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a line of `GET /v1/nodes` that sealing needs."""

    node: NodeId
    connected: bool
    sealing_key: KeyCard | None = None


class NodesView(msgspec.Struct, frozen=True):
    nodes: list[NodeView]


@dataclass(frozen=True, slots=True)
class Trust:
    """`pinned`: identities (Ed25519, 32 bytes) by node from a signed roster; None believes the coordinator."""

    pinned: Mapping[str, bytes] | None

    @classmethod
    def load(cls, roster: Path | None, operators: Sequence[str], *, trust_coordinator: bool) -> "Trust":
        """Blocking.

        Raises:
            RosterError: There is no roster and the coordinator is not to be trusted, or the roster is not signed by
                exactly these operators.
        """
        if roster is not None:
            return cls(pinned_nodes(roster, tuple(operators)))
        if not trust_coordinator:
            raise RosterError(
                "Without a signed roster the coordinator could give its own keys for those of the nodes.",
                "Give --roster FILE and --operator KEY, or accept an honest-but-curious coordinator with "
                "--trust-coordinator.",
            )
        return cls(None)

    def identity_of(self, node_id: str, card: KeyCard) -> bytes:
        """The Ed25519 key that this node must have signed with.

        Raises:
            SealingError: The node is not in the roster.
        """
        if self.pinned is None:
            return card.identity
        if node_id not in self.pinned:
            raise SealingError(f"{node_id} is not in the roster.", code="not_in_roster")
        return self.pinned[node_id]


def usable_cards(
    view: NodesView, trust: Trust, wanted: Sequence[str] | None
) -> tuple[dict[str, KeyCard], dict[str, str]]:
    """Checked keys by node, and for each other node in question why it is not asked."""
    cards: dict[str, KeyCard] = {}
    refused: dict[str, str] = {}
    nodes = {line.node: line for line in view.nodes}
    for node_id in sorted(nodes if wanted is None else set(wanted)):
        line = nodes.get(node_id)
        if line is None or not line.connected:
            refused[node_id] = "unknown_node" if line is None else "not_connected"
        elif line.sealing_key is None:
            refused[node_id] = "not_offered"
        else:
            try:
                identity_key = trust.identity_of(node_id, line.sealing_key)
                check_card(line.sealing_key, node_id, identity_key, time.time())
                cards[node_id] = line.sealing_key
            except SealingError as error:
                refused[node_id] = error.code
    return cards, refused


def decode_nodes(body: bytes) -> NodesView:
    """Raises ProtocolError when the coordinator lists something else."""
    try:
        return msgspec.json.decode(body, type=NodesView)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(
            f"The list of nodes does not fit: {error}.", "Install the same frag on all sides."
        ) from error


def asker_key_file() -> Path:
    """`FRAG_HOME/asker.key`, or `~/.config/frag/asker.key`."""
    home = os.environ.get("FRAG_HOME", "")
    return (Path(home).expanduser() if home else Path.home() / ".config" / "frag") / "asker.key"


def asker_key(path: Path) -> Ed25519PrivateKey:
    """The asker's own key, made at first use. Blocking. Raises SettingsError when the file is no key."""
    if not path.exists():
        return identity.make_key(path)
    return identity.load_key(path, "Delete it; a new one is made, which nodes with a list of askers must be told.")
