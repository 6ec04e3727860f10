"""Runs of a standing job at a node: what is new to each, and what the coordinator is told of data sets."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from frag.protocols import FloatArray
from prompt_tuning.dataset import split
from prompt_tuning.job import JobSettings
from server.node.datasets import Datasets
from server.node.training.desk import TrainingDesk
from server.node.training.orders import Done, JobExamples, Order
from server.wire.messages import Train


class Silo:
    """A node's desk without network and without a model."""

    def __init__(self, folder: Path, *modes: str, only_private: bool = False) -> None:
        self.folder = folder
        self.datasets = Datasets(folder / "datasets")
        self.settled = 0
        (folder / "training").mkdir(parents=True, exist_ok=True)
        (folder / "datasets").mkdir(exist_ok=True)
        self.desk = TrainingDesk(
            node_id="a",
            folder=folder / "training",
            datasets=self.datasets,
            library=self,  # type: ignore[arg-type]
            exchange=self,
            process=self,  # type: ignore[arg-type]
            aggregation=modes or ("plain",),
            only_private=only_private,
        )
        self.desk.on_standing_run = self.settle

    def settle(self) -> None:
        self.settled += 1

    def snapshot(self) -> str:
        return ""

    def embed(self, texts: Sequence[str]) -> FloatArray:
        return np.zeros((len(texts), 2), np.float32)

    def look_up(self, _question: str, _number: int) -> list[str]:
        return []

    async def fetch(self, _ticket: str, _sha256: str, target: Path) -> None:
        target.write_bytes(b"weights")

    async def bring(self, _ticket: str, _content: bytes) -> None: ...

    async def carry_out(self, order: Order, _on_step: Callable[[Any], None]) -> Done:
        Path(order.update).write_bytes(b"update")
        return Done(num_examples=1, metrics={})

    def hold(self, number: int) -> None:
        rows = [json.dumps({"question": f"q{n}", "answer": f"a{n}"}) for n in range(number)]
        (self.folder / "rows.jsonl").write_text("\n".join(rows))
        self.datasets.add("qa", self.folder / "rows.jsonl", replace=True)

    async def run(self, number: int, **standing: Any) -> JobExamples:
        job = JobSettings.model_validate({"name": "s", "dataset": "qa", "standing": {"series": "s-1", **standing}})
        request = Train(
            request_id=1,
            job_id=f"s-1-{number}",
            round_num=0,
            job=job.model_dump_json(),
            base_model="0" * 64,
            weights_sha256="0" * 64,
            ticket="",
            evaluate=False,
            train=True,
        )
        await self.desk.train(request, lambda _progress: None)
        content = (self.folder / "training" / request.job_id / "examples.msgpack").read_bytes()
        return msgspec.msgpack.decode(content, type=JobExamples)


async def test_what_the_first_run_has_met_is_old_to_the_second(tmp_path: Path) -> None:
    silo = Silo(tmp_path)
    silo.hold(60)
    first = await silo.run(1)
    assert first.old_ids == []
    assert silo.settled == 1
    silo.hold(100)
    second = await silo.run(2)
    assert len(second.old_ids) == 60
    parts = split(silo.datasets.load("qa"))
    assert len(second.train) == len(parts.train)
    assert len(second.held_out) == len(parts.held_out)
    assert {e.example_id for e in first.held_out} <= {e.example_id for e in second.held_out}


@pytest.mark.parametrize(("standing", "num_old"), [({"replay": 0.0}, 0), ({"buffer_examples": 5}, 5)])
async def test_the_buffer_is_as_large_as_was_asked_for(tmp_path: Path, standing: dict[str, Any], num_old: int) -> None:
    silo = Silo(tmp_path)
    silo.hold(60)
    await silo.run(1)
    silo.hold(100)
    second = await silo.run(2, **standing)
    assert len({e.example_id for e in second.train} & set(second.old_ids)) == num_old


def test_sizes_are_told_only_where_updates_tell_them(tmp_path: Path) -> None:
    open_silo, hidden = Silo(tmp_path / "a", "plain", "secagg"), Silo(tmp_path / "b", "secagg")
    private = Silo(tmp_path / "c", "plain", only_private=True)
    for silo in (open_silo, hidden, private):
        silo.hold(3)
    assert [silo.desk.dataset_sizes() for silo in (open_silo, hidden, private)] == [{"qa": 3}, {}, {}]
