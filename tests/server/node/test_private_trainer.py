"""The training process under record-level privacy: the key of an order decides its update, and no step is told of."""

import json
from pathlib import Path

import msgspec
import pytest
from safetensors.numpy import load

from frag.durable import write_private
from frag.errors import LedgerError
from frag.quantization import encode
from prompt_tuning.job import JobSettings
from server.node.training import trainer as module
from server.node.training.orders import JobExamples, Order, StoredExample
from server.node.training.trainer import Trainer, _load
from tests.tiny_model import write_tiny_model

KEY, OTHER = "ab" * 32, "cd" * 32


def stored(number: int) -> StoredExample:
    return StoredExample(
        example_id=str(number),
        question=f"Who keeps key {number}?",
        answers=(f"porter {number}",),
        passages=(),
        text="",
        group=str(number),
        vector=b"",
        unit=f"p{number % 5}",
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    job = JobSettings.model_validate(
        {
            "name": "a",
            "dataset": "qa",
            "method": {"kind": "prompt", "num_virtual_tokens": 4},
            "local": {"steps": 2, "batch_size": 2},
            "evaluation": {"every": 0},
            "privacy": {"mode": "record"},
        }
    )
    write_private(tmp_path / "job.json", job.model_dump_json().encode())
    examples = JobExamples(train=[stored(n) for n in range(10)], held_out=[], snapshot="")
    write_private(tmp_path / "examples.msgpack", msgspec.msgpack.encode(examples))
    return tmp_path


def carried_out(folder: Path, model: Path, key: str, name: str) -> tuple[bytes, object]:
    order = Order(
        job_folder=str(folder),
        node_id="n",
        round_num=0,
        base_model=_load(str(model), 1).fingerprint,
        weights=str(folder / "weights"),
        update=str(folder / name),
        evaluate=True,
        train=True,
        key=key,
        num_units=5,
    )
    done = Trainer(str(model), 1).carry_out(order)
    return (folder / name).read_bytes(), done


def test_the_key_decides_the_update(folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_say", lambda _said: pytest.fail("a step was told of"))
    like = _named(folder, model)
    first, done = carried_out(folder, model, KEY, "one")
    again, _ = carried_out(folder, model, KEY, "two")
    other, _ = carried_out(folder, model, OTHER, "three")
    assert first == again != other
    assert json.loads(msgspec.json.encode(done)) == {"type": "done", "num_examples": 1, "metrics": {}}
    assert load(first).keys() == like


def _named(folder: Path, model: Path) -> set[str]:
    """Gives the weights the names that the method wants."""
    from prompt_tuning.trainable import Trainable

    job = JobSettings.model_validate_json((folder / "job.json").read_bytes())
    weights = Trainable(_load(str(model), 1), job.method, job.template).initial(seed=0)
    write_private(folder / "weights", encode(weights))
    return set(weights)


def test_an_order_without_a_key_is_not_carried_out(folder: Path, model: Path) -> None:
    _named(folder, model)
    with pytest.raises(LedgerError, match="without its key"):
        carried_out(folder, model, "", "one")
    assert not (folder / "one").exists()
