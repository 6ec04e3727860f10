"""A run of a standing job in the training process: what is replayed, what holds it back, and what is measured."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load

from frag.durable import write_private
from frag.errors import NotFoundError
from frag.quantization import encode
from prompt_tuning.job import JobSettings
from server.node.training import trainer as module
from server.node.training.orders import Done, JobExamples, Order, StoredExample
from server.node.training.trainer import Trainer, _load
from tests.tiny_model import write_tiny_model


def stored(number: int) -> StoredExample:
    return StoredExample(
        example_id=str(number), question=f"Key {number}?", answers=("yes",), passages=(), text="", group="", vector=b""
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_say", lambda _said: None)


def run(
    folder: Path, model: Path, standing: dict[str, Any], old_ids: list[str], train: int = 8
) -> tuple[Done, dict[str, np.ndarray]]:
    """One round on examples 0 to train-1, with 100 to 105 held out."""
    from prompt_tuning.trainable import Trainable

    folder.mkdir()
    job = JobSettings.model_validate(
        {
            "name": "a",
            "dataset": "qa",
            "method": {"kind": "prompt", "num_virtual_tokens": 4},
            "local": {"steps": 4, "batch_size": 4, "warmup_steps": 0, "learning_rate": 0.1},
            "evaluation": {"max_examples": 2},
            "standing": {"series": "a-1", **standing},
        }
    )
    write_private(folder / "job.json", job.model_dump_json().encode())
    examples = JobExamples(
        train=[stored(n) for n in range(train)],
        held_out=[stored(n) for n in range(100, 106)],
        snapshot="",
        old_ids=old_ids,
    )
    write_private(folder / "examples.msgpack", msgspec.msgpack.encode(examples))
    language_model = _load(str(model), 1)
    write_private(folder / "weights", encode(Trainable(language_model, job.method, job.template).initial(seed=0)))
    order = Order(
        job_folder=str(folder),
        node_id="n",
        round_num=0,
        base_model=language_model.fingerprint,
        weights=str(folder / "weights"),
        update=str(folder / "update"),
        evaluate=True,
        train=True,
    )
    return Trainer(str(model), 1).carry_out(order), load((folder / "update").read_bytes())


def moved(update: dict[str, np.ndarray]) -> float:
    return float(np.sqrt(sum((value**2).sum() for value in update.values())))


def test_old_and_new_are_measured_apart_each_up_to_the_limit(tmp_path: Path, model: Path) -> None:
    done, _ = run(tmp_path / "job", model, {}, ["0", "1", "100", "101", "102"])
    assert (done.metrics["held_out_n_old"], done.metrics["held_out_n_new"]) == (2.0, 2.0)
    assert {"held_out_f1_old", "held_out_f1_new", "held_out_f1"} <= done.metrics.keys()
    assert done.num_examples == 8


def test_an_anchor_holds_the_weights_back(tmp_path: Path, model: Path) -> None:
    _, free = run(tmp_path / "free", model, {}, [])
    _, held = run(tmp_path / "held", model, {"anchor": 1000.0}, [])
    assert 0 < moved(held) < moved(free)


def test_nothing_new_and_nothing_to_replay_is_said(tmp_path: Path, model: Path) -> None:
    with pytest.raises(NotFoundError, match="new"):
        run(tmp_path / "job", model, {"replay": 0.0}, ["0"], train=0)
