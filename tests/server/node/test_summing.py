"""A node's part in a secure sum: pinned peers, one vector a round, and nothing out of order."""

import asyncio
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from safetensors.numpy import save

from frag.errors import SecureSumError
from frag.secagg.messages import Keys
from server.node.training.summing import SumDesk, SumStart
from server.wire.messages import SumStage, SumStageName

KEYS = {name: Ed25519PrivateKey.generate() for name in "abc"}
PUBLIC = {name: key.public_key().public_bytes_raw() for name, key in KEYS.items()}


class Nobody:
    """Nothing may be brought in these tests."""

    async def fetch(self, ticket: str, sha256: str, target: Path) -> None:
        raise AssertionError

    async def bring(self, ticket: str, content: bytes) -> None:
        raise AssertionError


def desk(folder: Path, pinned: dict[str, bytes] | None = None) -> SumDesk:
    job = folder / "job"
    job.mkdir(exist_ok=True)
    (job / f"update-0-{'0' * 16}").write_bytes(save({"w": np.ones(3, np.float32)}))
    return SumDesk(node_id="a", identity=KEYS["a"], folder=folder, exchange=Nobody(), pinned=pinned)


def stage(name: SumStageName, content: object, round_num: int = 0) -> SumStage:
    packed = content if isinstance(content, bytes) else msgspec.msgpack.encode(content)
    return SumStage(
        request_id=1, job_id="job", round_num=round_num, weights_sha256="0" * 64, stage=name, content=packed
    )


async def test_a_sum_begins_with_signed_keys(tmp_path: Path) -> None:
    reply = await desk(tmp_path, PUBLIC).carry_out(stage("keys", SumStart(peers=PUBLIC)))
    assert msgspec.msgpack.decode(reply, type=Keys).name == "a"


async def test_a_peer_that_the_roster_does_not_name_so_is_refused(tmp_path: Path) -> None:
    swapped = PUBLIC | {"c": Ed25519PrivateKey.generate().public_key().public_bytes_raw()}
    invented = PUBLIC | {"d": PUBLIC["c"]}
    for peers in (swapped, invented):
        with pytest.raises(SecureSumError, match="signed roster"):
            await desk(tmp_path, PUBLIC).carry_out(stage("keys", SumStart(peers=peers)))
        assert await desk(tmp_path).carry_out(stage("keys", SumStart(peers=peers))), "without a roster it is believed"


async def test_an_update_that_has_left_masked_is_not_summed_again(tmp_path: Path) -> None:
    place = desk(tmp_path)
    (tmp_path / "job" / "summed-0").touch()
    with pytest.raises(SecureSumError, match="not sent twice"):
        await place.carry_out(stage("keys", SumStart(peers=PUBLIC)))


async def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    place = desk(tmp_path)
    with pytest.raises(SecureSumError, match="no sum of this round"):
        await place.carry_out(stage("confirm", b""))
    with pytest.raises(SecureSumError, match="no update of this round"):
        await place.carry_out(stage("keys", SumStart(peers=PUBLIC), round_num=7))
    with pytest.raises(SecureSumError, match="not among those"):
        await place.carry_out(stage("keys", SumStart(peers={name: PUBLIC[name] for name in "bc"})))
    with pytest.raises(SecureSumError, match="something else"):
        await place.carry_out(stage("keys", [1, 2, 3]))


async def test_stages_are_played_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once could both find that no vector has left yet."""
    under_way: list[int] = []
    most: list[int] = []

    def slow(_desk: SumDesk, _request: SumStage) -> SumStart:
        under_way.append(1)
        most.append(len(under_way))
        time.sleep(0.05)
        under_way.pop()
        return SumStart(peers=PUBLIC)

    monkeypatch.setattr(SumDesk, "_begin", slow)
    place = desk(tmp_path)
    await asyncio.gather(*(place.carry_out(stage("keys", SumStart(peers=PUBLIC))) for _ in range(4)))
    assert most == [1, 1, 1, 1]
