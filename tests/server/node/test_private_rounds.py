"""A private job at a node: paid for before the first step, every round drawn once, and nothing measured or told."""

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from frag.durable import write_private
from frag.errors import ForbiddenError, FragError, LedgerError
from frag.privacy.accounting import plan_epsilon
from frag.privacy.draws import SecretDraws
from frag.privacy.ledger import Ledger, Spent
from prompt_tuning.job import JobSettings
from server.node.datasets import Datasets
from server.node.training.desk import TrainingDesk
from server.node.training.orders import Done, JobExamples, Order, Step
from server.node.training.private_rounds import PrivateRounds
from server.wire.messages import Train

NUM_ROWS = 60


def job(**changes: Any) -> JobSettings:
    return JobSettings.model_validate(
        {
            "name": "a",
            "dataset": "qa",
            "evaluation": {"every": 0},
            "local": {"steps": 5, "batch_size": 4},
            "rounds": {"number": 2},
            "privacy": {"mode": "record", "noise_multiplier": 2.0},
            **changes,
        }
    )


def request(settings: JobSettings | None = None, **changes: Any) -> Train:
    given: dict[str, Any] = {
        "request_id": 1,
        "job_id": "job-1",
        "round_num": 0,
        "job": (settings or job()).model_dump_json(),
        "base_model": "0" * 64,
        "weights_sha256": "a" * 64,
        "ticket": "",
        "evaluate": True,
        "train": True,
    }
    return Train(**{**given, **changes})


class Library:
    def look_up(self, question: str, number: int) -> list[str]:
        raise AssertionError("a private job reads no index")

    def embed(self, texts: Any) -> Any:
        raise AssertionError

    def snapshot(self) -> str:
        return ""


@dataclass
class Carrier:
    brought: list[bytes] = field(default_factory=list)

    async def fetch(self, ticket: str, sha256: str, target: Path) -> None:
        await asyncio.to_thread(write_private, target, b"weights")

    async def bring(self, ticket: str, content: bytes) -> None:
        self.brought.append(content)


@dataclass
class Process:
    """Stands for the training process: its update is what the key of the order draws."""

    dies: bool = False
    orders: list[Order] = field(default_factory=list)

    async def carry_out(self, order: Order, on_step: Callable[[Step], None]) -> Done:
        self.orders.append(order)
        await asyncio.sleep(0)
        if self.dies:
            raise LedgerError("killed")
        drawn = SecretDraws(bytes.fromhex(order.key)).normals(4).tobytes() if order.key else b"open"
        await asyncio.to_thread(write_private, Path(order.update), drawn)
        return Done(num_examples=1, metrics={})


@dataclass
class Node:
    folder: Path
    limit: float = 8.0
    process: Process = field(default_factory=Process)
    carrier: Carrier = field(default_factory=Carrier)
    only_private: bool = False
    has_ledger: bool = True

    def desk(self) -> TrainingDesk:
        rows = [{"question": f"Who keeps {n}?", "answer": "Ann", "unit": f"p{n // 2}"} for n in range(NUM_ROWS)]
        source = self.folder / "qa.jsonl"
        source.write_text("\n".join(map(json.dumps, rows)))
        (self.folder / "training").mkdir(exist_ok=True)
        datasets = Datasets(self.folder / "datasets")
        (self.folder / "datasets").mkdir(exist_ok=True)
        datasets.add("qa", source, replace=True)
        return TrainingDesk(
            node_id="n",
            folder=self.folder / "training",
            datasets=datasets,
            library=Library(),
            exchange=self.carrier,
            process=self.process,  # type: ignore[arg-type]
            private=PrivateRounds(self.folder / "ledger.db", self.limit) if self.has_ledger else None,
            only_private=self.only_private,
        )

    async def train(self, wanted: Train) -> Any:
        return await self.desk().train(wanted, lambda _progress: None)

    def spent(self) -> Spent:
        with closing(Ledger.open(self.folder / "ledger.db")) as ledger:
            return ledger.summary()[0]

    @property
    def num_units(self) -> int:
        stored = msgspec.msgpack.decode(
            (self.folder / "training" / "job-1" / "examples.msgpack").read_bytes(), type=JobExamples
        )
        return len({example.unit for example in stored.train})


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


async def test_the_whole_plan_is_reserved_before_the_first_step(node: Node) -> None:
    node.process.dies = True
    with pytest.raises(LedgerError, match="killed"):
        await node.train(request())
    spent = node.spent()
    assert (spent.collection, spent.training_delta) == ("qa", 1e-5)
    public = node.num_units
    assert spent.training_epsilon == plan_epsilon(2.0, 4 / public, 10)
    assert node.process.orders[0].num_units == public < NUM_ROWS, "units are persons, not rows"


async def test_a_job_pays_once(node: Node) -> None:
    await node.train(request())
    once = node.spent()
    await node.train(request())
    await node.train(request(round_num=1, weights_sha256="b" * 64))
    assert node.spent() == once


async def test_an_interrupted_round_is_drawn_by_the_same_key(node: Node) -> None:
    node.process.dies = True
    with pytest.raises(LedgerError):
        await node.train(request())
    node.process.dies = False
    await node.train(request())
    first, second = node.process.orders
    assert first.key == second.key
    assert len(first.key) == 64


async def test_a_kept_update_is_sent_again_and_its_key_is_gone(node: Node) -> None:
    await node.train(request())
    await node.train(request())
    assert node.carrier.brought[0] == node.carrier.brought[1]
    assert len(node.process.orders) == 1
    begun = (node.folder / "training" / "job-1" / "begun-0.json").read_text()
    assert node.process.orders[0].key not in begun


async def test_two_requests_at_once_are_one_draw(node: Node) -> None:
    desk = node.desk()
    await asyncio.gather(*(desk.train(request(request_id=n), lambda _progress: None) for n in range(3)))
    assert len(set(node.carrier.brought)) == 1


async def test_rounds_and_nodes_have_keys_of_their_own(node: Node) -> None:
    await node.train(request())
    await node.train(request(round_num=1))
    await node.train(request(job_id="job-2"))
    assert len({order.key for order in node.process.orders}) == 3


async def test_a_round_is_trained_from_one_set_of_weights(node: Node) -> None:
    await node.train(request())
    with pytest.raises(ForbiddenError, match="other weights"):
        await node.train(request(weights_sha256="b" * 64))


async def test_a_round_whose_update_is_gone_is_not_drawn_again(node: Node) -> None:
    await node.train(request())
    for path in (node.folder / "training" / "job-1").glob("update-*"):
        path.unlink()
    with pytest.raises(ForbiddenError, match="no longer here"):
        await node.train(request())


async def test_rounds_beyond_the_plan_are_refused(node: Node) -> None:
    with pytest.raises(ForbiddenError, match="2 that are paid for"):
        await node.train(request(round_num=2))
    assert not node.process.orders


async def test_a_lost_folder_is_paid_for_again(node: Node) -> None:
    await node.train(request())
    once = node.spent().training_epsilon
    for path in (node.folder / "training" / "job-1").iterdir():
        path.unlink()
    await node.train(request())
    assert node.spent().training_epsilon == pytest.approx(2 * once)


async def test_the_policy_limits_all_jobs_together(node: Node) -> None:
    await node.train(request())
    node.limit = 1.5 * node.spent().training_epsilon
    with pytest.raises(LedgerError, match="are left in qa"):
        await node.train(request(job_id="job-2"))
    assert len(node.process.orders) == 1
    await node.train(request(round_num=1))


async def test_a_plan_over_the_budget_of_the_job_is_refused_and_not_charged(node: Node) -> None:
    poor = job(privacy={"mode": "record", "noise_multiplier": 0.5, "max_epsilon": 1.0})
    with pytest.raises(LedgerError, match="the job allows 1"):
        await node.train(request(poor))
    assert not (node.folder / "ledger.db").exists()


async def test_settings_are_those_that_were_paid_for(node: Node) -> None:
    await node.train(request())
    for other in (job(privacy={"mode": "none"}), job(local={"steps": 6, "batch_size": 4})):
        with pytest.raises(ForbiddenError, match="other settings"):
            await node.train(request(other, round_num=1))


async def test_nothing_is_measured(node: Node) -> None:
    said = await node.train(request(train=False))
    assert (said.num_examples, said.metrics, node.process.orders) == (0, {}, [])
    await node.train(request(evaluate=True))
    assert not node.process.orders[0].evaluate
    stored = (node.folder / "training" / "job-1" / "examples.msgpack").read_bytes()
    assert not msgspec.msgpack.decode(stored, type=JobExamples).held_out


async def test_a_node_can_demand_privacy(node: Node) -> None:
    node.only_private = True
    with pytest.raises(ForbiddenError, match="record-level privacy only"):
        await node.train(request(job(privacy={"mode": "none"})))
    await node.train(request())


async def test_without_a_ledger_nothing_private_is_trained(node: Node) -> None:
    node.has_ledger = False
    with pytest.raises(LedgerError, match="no ledger"):
        await node.train(request())
    assert not node.process.orders


async def test_a_ledger_that_fails_stops_the_job(node: Node) -> None:
    (node.folder / "ledger.db").write_bytes(b"not a database" * 100)
    with pytest.raises(FragError, match="cannot be used"):
        await node.train(request())
    assert not node.process.orders


async def test_jobs_without_a_claim_are_not_charged(node: Node) -> None:
    await node.train(request(job(privacy={"mode": "none"})))
    assert not (node.folder / "ledger.db").exists()
    assert node.process.orders[0].key == ""
