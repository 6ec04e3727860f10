"""Node identities in a secure sum: the signed roster, and the desk at a node that holds to it."""

import asyncio
from pathlib import Path

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.roster import Roster, pinned_nodes, save_roster
from server.audit.abuse.case import Case
from server.node.training.summing import SumDesk, SumStart
from server.wire.messages import SumStage, SumStageName

_KEYS = {name: Ed25519PrivateKey.generate() for name in ("node-a", "node-b", "node-c")}
_PUBLIC = {name: key.public_key().public_bytes_raw() for name, key in _KEYS.items()}
_OPERATORS = {label: Ed25519PrivateKey.generate() for label in ("alice", "bob")}
_NAMED = {label: key.public_key().public_bytes_raw().hex() for label, key in _OPERATORS.items()}


class _Nobody:
    """No vector leaves here."""

    async def fetch(self, ticket: str, sha256: str, target: Path) -> None:
        raise NotImplementedError

    async def bring(self, ticket: str, content: bytes) -> None:
        raise NotImplementedError


def _stage(folder: Path, stage: SumStageName, content: object, round_num: int = 1) -> bytes:
    """One stage at a node that pins the roster and has trained round 1."""
    from safetensors.numpy import save

    job = folder / "job"
    job.mkdir(exist_ok=True)
    (job / f"update-1-{'0' * 16}").write_bytes(save({"w": np.ones(3, np.float32)}))
    desk = SumDesk(node_id="node-a", identity=_KEYS["node-a"], folder=folder, exchange=_Nobody(), pinned=_PUBLIC)
    request = SumStage(
        request_id=1,
        job_id="job",
        round_num=round_num,
        weights_sha256="0" * 64,
        stage=stage,
        content=msgspec.msgpack.encode(content),
    )
    return asyncio.run(desk.carry_out(request))


def _start(folder: Path, **changes: bytes) -> bytes:
    peers = _PUBLIC | {name.replace("_", "-"): key for name, key in changes.items()}
    return _stage(folder, "keys", SumStart(peers=peers))


def _without_me(folder: Path) -> bytes:
    return _stage(folder, "keys", SumStart(peers={name: _PUBLIC[name] for name in ("node-b", "node-c")}))


def _alone(folder: Path) -> bytes:
    return _stage(folder, "keys", SumStart(peers={"node-a": _PUBLIC["node-a"]}))


def _again(folder: Path) -> bytes:
    """The round's vector has left already."""
    again = folder / "again"
    (again / "job").mkdir(parents=True, exist_ok=True)
    (again / "job" / "summed-1").touch()
    return _start(again)


def _roster(signers: tuple[str, ...] = ("alice", "bob"), **changes: object) -> Roster:
    roster = Roster(federation="f", nodes={n: k.hex() for n, k in _PUBLIC.items()}, operators=_NAMED)
    for label in signers:
        roster = roster.signed(label, _OPERATORS[label])
    return msgspec.structs.replace(roster, **changes)


def _pinned(folder: Path, roster: Roster) -> object:
    path = folder / "roster.json"
    save_roster(roster, path)
    return pinned_nodes(path, tuple(_NAMED.values()))


def cases(folder: Path) -> list[Case]:
    """Of desk and roster; files go into `folder`."""
    stranger = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    swapped = {n: k.hex() for n, k in (_PUBLIC | {"node-b": stranger}).items()}
    others = {"mallory": stranger.hex()}
    return [
        Case("peers of the roster", lambda: _start(folder), honest=True),
        Case("a signed roster", lambda: _pinned(folder, _roster()), honest=True),
        Case("key substitution at a pinned peer", lambda: _start(folder, node_b=stranger)),
        Case("a peer that the roster does not name", lambda: _start(folder, node_d=stranger)),
        Case("a sum of one", lambda: _alone(folder)),
        Case("a sum without this node", lambda: _without_me(folder)),
        Case("wrong round", lambda: _stage(folder, "keys", SumStart(peers=_PUBLIC), round_num=7)),
        Case("a stage out of order", lambda: _stage(folder, "unmask", [])),
        Case("a stage with something else", lambda: _stage(folder, "keys", [1, 2, 3])),
        Case("replay: a round whose vector has left", lambda: _again(folder)),
        Case("a roster that one operator did not sign", lambda: _pinned(folder, _roster(("alice",)))),
        Case("a roster changed after signing", lambda: _pinned(folder, _roster(nodes=swapped))),
        Case("a roster of other operators", lambda: _pinned(folder, _roster((), operators=others))),
        Case("a forged signature", lambda: _pinned(folder, _roster(signatures=dict.fromkeys(_NAMED, "0" * 128)))),
    ]
