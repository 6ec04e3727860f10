"""The trust root: who the nodes of a federation are, signed by its operators and exchanged out of band.

The coordinator enrolls nodes, so it could invent some or swap their keys. A node that pins a roster believes the roster
about its peers, and nobody else.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from frag.durable import write_atomic
from frag.errors import RosterError

_ABOUT = b"frag-roster-v1\0"
_MEND = "Ask the operators for the roster that all of them have signed."
_Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
_Signature = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}$")]
_NodeId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}$")]
_Label = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9 ._-]{1,64}$")]


class Roster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Raw Ed25519 public keys in hex, of nodes and of the operators who sign; signatures by operator."""

    federation: _Label
    nodes: Annotated[dict[_NodeId, _Hex], msgspec.Meta(min_length=1, max_length=10_000)]
    operators: Annotated[dict[_Label, _Hex], msgspec.Meta(min_length=1, max_length=1000)]
    signatures: Annotated[dict[_Label, _Signature], msgspec.Meta(max_length=1000)] = {}

    def __post_init__(self) -> None:
        for kind, named in (("nodes", self.nodes), ("operators", self.operators)):
            if len(set(named.values())) < len(named):
                raise ValueError(f"two {kind} have the same key")

    @property
    def signed_bytes(self) -> bytes:
        """What operators sign: everything but the signatures, in one form."""
        content = {
            "federation": self.federation,
            "nodes": dict(sorted(self.nodes.items())),
            "operators": dict(sorted(self.operators.items())),
        }
        return _ABOUT + msgspec.json.encode(content)

    @property
    def unsigned(self) -> tuple[str, ...]:
        """Operators whose valid signature is missing."""
        return tuple(label for label in sorted(self.operators) if not self._is_signed_by(label))

    def _is_signed_by(self, label: str) -> bool:
        try:
            public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.operators[label]))
            public.verify(bytes.fromhex(self.signatures[label]), self.signed_bytes)
        except (KeyError, ValueError, InvalidSignature):
            return False
        return True

    def signed(self, label: str, key: Ed25519PrivateKey) -> "Roster":
        """With the signature of one operator. Raises RosterError when the key is not that operator's."""
        public = key.public_key().public_bytes_raw().hex()
        if self.operators.get(label) != public:
            raise RosterError(f"The roster names no operator {label!r} with this key.", "Use the key that it names.")
        return msgspec.structs.replace(self, signatures={**self.signatures, label: key.sign(self.signed_bytes).hex()})


def load_roster(path: Path) -> Roster:
    """Raises RosterError when the file is missing or is no roster. Does not look at signatures."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Roster)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RosterError(f"The roster {path} cannot be read: {error}.", _MEND) from error


def save_roster(roster: Roster, path: Path) -> None:
    """Writes it for people to read and send."""
    write_atomic(path, msgspec.json.format(msgspec.json.encode(roster), indent=1) + b"\n")


def pinned_nodes(path: Path, operators: tuple[str, ...]) -> Mapping[str, bytes]:
    """Public keys of the nodes, raw, by id.

    Args:
        path: The roster.
        operators: Public keys in hex that the node's operator was given out of band: all of them must have signed,
            and the roster may name no others.

    Raises:
        RosterError: It was signed by too few, or by others.
    """
    roster = load_roster(path)
    if set(roster.operators.values()) != set(operators):
        raise RosterError(f"The roster {path} names other operators than this node trusts.", _MEND)
    if missing := roster.unsigned:
        raise RosterError(f"The roster {path} is not signed by {', '.join(missing)}.", _MEND)
    return {node: bytes.fromhex(key) for node, key in roster.nodes.items()}
