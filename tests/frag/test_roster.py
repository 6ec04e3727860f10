"""A roster is believed when all operators that were told out of band have signed exactly it."""

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import RosterError
from frag.roster import Roster, load_roster, pinned_nodes, save_roster

KEYS = {name: Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number, name in enumerate("abxy")}
PUBLIC = {name: key.public_key().public_bytes_raw().hex() for name, key in KEYS.items()}


def roster(**changes: object) -> Roster:
    nodes, operators = {"a": PUBLIC["a"], "b": PUBLIC["b"]}, {"Xenia": PUBLIC["x"], "Yann": PUBLIC["y"]}
    return Roster(**{"federation": "clinics", "nodes": nodes, "operators": operators, **changes})  # type: ignore[arg-type]


def signed() -> Roster:
    return roster().signed("Xenia", KEYS["x"]).signed("Yann", KEYS["y"])


def pinned(path: Path, content: Roster, *operators: str) -> dict[str, bytes]:
    save_roster(content, path / "roster.json")
    return dict(pinned_nodes(path / "roster.json", tuple(PUBLIC[name] for name in operators or "xy")))


def test_what_all_operators_signed_is_believed(tmp_path: Path) -> None:
    assert pinned(tmp_path, signed()) == {name: bytes.fromhex(PUBLIC[name]) for name in "ab"}
    assert load_roster(tmp_path / "roster.json") == signed()


@pytest.mark.parametrize(
    "tampered",
    [
        roster().signed("Xenia", KEYS["x"]),
        msgspec.structs.replace(signed(), nodes={"a": PUBLIC["a"], "b": PUBLIC["x"]}),
        msgspec.structs.replace(signed(), nodes={**signed().nodes, "c": PUBLIC["x"]}),
        msgspec.structs.replace(signed(), federation="others"),
        msgspec.structs.replace(signed(), signatures={**signed().signatures, "Yann": signed().signatures["Xenia"]}),
    ],
    ids=["one signature", "a key swapped", "a node invented", "another federation", "another's signature"],
)
def test_anything_else_is_not(tmp_path: Path, tampered: Roster) -> None:
    with pytest.raises(RosterError, match="not signed by"):
        pinned(tmp_path, tampered)


def test_a_coordinator_cannot_bring_operators_of_its_own(tmp_path: Path) -> None:
    own = roster(operators={"Eve": PUBLIC["a"]}).signed("Eve", KEYS["a"])
    with pytest.raises(RosterError, match="other operators"):
        pinned(tmp_path, own)
    with pytest.raises(RosterError, match="other operators"):
        pinned(tmp_path, signed(), "x")


def test_only_who_is_named_can_sign_and_a_torn_file_is_said(tmp_path: Path) -> None:
    for label, name in (("Xenia", "y"), ("Eve", "x")):
        with pytest.raises(RosterError, match="names no operator"):
            roster().signed(label, KEYS[name])
    (tmp_path / "roster.json").write_bytes(b'{"federation": "clin')
    for path in ("roster.json", "missing.json"):
        with pytest.raises(RosterError, match="cannot be read"):
            load_roster(tmp_path / path)


def test_the_order_of_names_changes_no_signature() -> None:
    turned = roster(nodes=dict(reversed(signed().nodes.items())), operators=dict(reversed(signed().operators.items())))
    assert msgspec.structs.replace(turned, signatures=signed().signatures).unsigned == ()
