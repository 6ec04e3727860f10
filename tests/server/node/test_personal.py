"""After a promotion a node answers with its own form of the prompt where that is better on its own examples."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from frag.settings import NodeSettings
from frag.training_settings import NodeTrainingSettings
from frag.types import Adaptation, Place, Template
from prompt_tuning.adaptation_file import load_adaptation, save_adaptation
from prompt_tuning.job import JobSettings
from server.node.datasets import Datasets
from server.node.live_prompt import LivePrompt
from server.node.training import trainer as trainer_module
from server.node.training.forgetting import TrainingMemory
from server.node.training.orders import Done, PersonalOrder
from server.node.training.personal import PersonalDesk
from server.node.training.trainer import Trainer, _load
from server.wire.answers import node_answer, reply_message
from server.wire.codec import decode_to_coordinator, encode
from server.wire.messages import Promote, Reply
from tests.tiny_model import write_tiny_model


class Worker:
    live: Adaptation | None = None

    async def go_live(self, adaptation: Adaptation | None) -> None:
        self.live = adaptation


class Shelf:
    contents: dict[str, bytes]

    async def fetch(self, ticket: str, _sha256: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.contents[ticket])


class Library:
    def look_up(self, _question: str, _number: int) -> list[str]:
        return []

    def embed(self, texts: object) -> object:
        raise AssertionError("no vectors are asked for")

    def snapshot(self) -> str:
        return "notes@1"


class Process:
    """The training process without a process: `carry_out` in a thread, or what a test says it found."""

    def __init__(self, carry_out: Callable[[PersonalOrder], Done]) -> None:
        self._carry_out = carry_out
        self.orders: list[PersonalOrder] = []

    async def carry_out(self, order: PersonalOrder, _on_step: object) -> Done:
        self.orders.append(order)
        return await asyncio.to_thread(self._carry_out, order)


def finds(gain: float) -> Callable[[PersonalOrder], Done]:
    def carry_out(order: PersonalOrder) -> Done:
        Path(order.personal).write_bytes(Path(order.shared).read_bytes())
        return Done(num_examples=50, metrics={"gain": gain, "share": 1.0})

    return carry_out


def shared_prompt(base_model: str = "m", layout: str = "l", **tensors: object) -> bytes:
    return save_adaptation(
        Adaptation(
            method="prompt",
            settings={"num_virtual_tokens": 2},
            place=Place.AFTER,
            tensors=tensors,  # type: ignore[arg-type]
            template=Template(instruction="Be brief."),
            base_model=base_model,
            layout=layout,
            epsilon=2.0,
            delta=1e-6,
        )
    )


class Node:
    def __init__(self, folder: Path, carry_out: Callable[[PersonalOrder], Done], num_examples: int = 60) -> None:
        self.worker, self.shelf, self.process = Worker(), Shelf(), Process(carry_out)
        self.datasets, self.recorded = Datasets(folder / "datasets"), dict[str, float]()
        self.prompts = LivePrompt(folder / "prompts", self.worker, self.shelf, "")  # type: ignore[arg-type]
        rows = [{"question": f"Who keeps key {n}?", "answer": "the porter"} for n in range(num_examples)]
        (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
        self.datasets.add("qa", folder / "rows.jsonl", replace=True)
        self.desk = PersonalDesk(
            folder=folder / "personal",
            training=folder / "training",
            settings=NodeTrainingSettings(personal=True, personal_steps=15),
            datasets=self.datasets,
            library=Library(),  # type: ignore[arg-type]
            memory=TrainingMemory(self.datasets, folder / "training", limit=16),
            process=self.process,  # type: ignore[arg-type]
            prompts=self.prompts,
            record=self.note,
        )
        self.prompts.on_live = self.desk.follow

    async def note(self, version: str, gain: float) -> None:
        self.recorded[version] = gain

    async def promote(self, version: str, content: bytes) -> None:
        self.shelf.contents = {version: content}
        digest = hashlib.sha256(content).hexdigest() if content else ""
        await self.prompts.promote(Promote(request_id=1, version=version, sha256=digest, ticket=version))

    async def settled(self) -> str:
        """The version that answers when all is made."""
        assert self.desk._task
        await self.desk._task
        return self.worker.live.version if self.worker.live else ""


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    made = Node(tmp_path, finds(0.3))
    yield made
    await made.desk.close()


async def test_a_better_one_answers_and_only_its_gain_is_told(node: Node) -> None:
    await node.promote("v1", shared_prompt())
    assert await node.settled() == "v1+personal"
    assert (node.prompts.version, node.desk.gain, node.recorded) == ("v1", 0.3, {"v1+personal": 0.3})
    assert not list(node.desk.training.glob("*/examples.msgpack")), "examples lie there only while it is made"
    await node.promote("", b"")
    assert (node.worker.live, node.desk.gain) == (None, None)


@pytest.mark.parametrize("gain", [-0.5, 0.0, 0.019])
async def test_one_that_is_not_better_by_the_margin_stays_unused(tmp_path: Path, gain: float) -> None:
    node = Node(tmp_path, finds(gain))
    await node.promote("v1", shared_prompt())
    assert await node.settled() == "v1"
    assert (node.desk.gain, node.recorded) == (None, {})


async def test_after_a_restart_it_is_not_made_again(node: Node, tmp_path: Path) -> None:
    await node.promote("v1", shared_prompt())
    await node.settled()
    restarted = Node(tmp_path, finds(0.9))
    await restarted.prompts.restore()
    assert await restarted.settled() == "v1+personal"
    assert (restarted.process.orders, restarted.desk.gain) == ([], 0.3)
    await restarted.promote("v1", shared_prompt(layout="another"))
    assert await restarted.settled() == "v1+personal"
    assert len(restarted.process.orders) == 1, "another content of the same name is made anew"


async def test_too_few_examples_and_written_prompts_leave_the_shared_one(tmp_path: Path) -> None:
    few = Node(tmp_path, finds(0.3), num_examples=39)
    await few.promote("v1", shared_prompt())
    assert await few.settled() == "v1"
    written = save_adaptation(
        Adaptation(method="template", settings={}, place=Place.AFTER, tensors={}, base_model="", layout="")
    )
    enough = Node(tmp_path, finds(0.3))
    await enough.promote("v2", written)
    assert await enough.settled() == "v2"
    assert few.process.orders == enough.process.orders == []


async def test_a_version_that_was_replaced_meanwhile_is_not_adopted(node: Node) -> None:
    await node.promote("v1", shared_prompt())
    personal = load_adaptation(shared_prompt(), "v1+personal")
    await node.promote("v2", shared_prompt(layout="other"))
    assert not await node.prompts.adopt("v1", personal)
    assert await node.settled() == "v2+personal"


async def test_deleting_a_document_gives_up_the_personal_form_that_has_seen_it(node: Node) -> None:
    text = "the porter of the north gate keeps every key in a red box under the stairs of the hall until noon"
    rows = [{"question": f"Where is key {n}?", "answer": "box", "passage": text} for n in range(50)]
    (node.desk.training.parent / "more.jsonl").write_text("\n".join(map(json.dumps, rows)))
    node.datasets.add("feedback", node.desk.training.parent / "more.jsonl")
    await node.promote("v1", shared_prompt())
    await node.settled()
    assert node.worker.live is not None
    node.desk.memory.on_forgotten.append(node.desk.forgotten)
    forgotten = node.desk.memory.forget([text])
    assert forgotten.prompt_versions == ["personal-v1"]
    assert not list((node.desk.folder).iterdir()), "what has seen the text is gone when the deletion is acknowledged"
    assert node.desk._renewal is None
    await asyncio.sleep(0)
    assert node.desk._renewal
    await node.desk._renewal
    assert await node.settled() == "v1+personal"
    assert len(node.process.orders) == 2, "made anew, without the text"
    assert node.desk.memory.forget([text]).prompt_versions == []


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


async def test_the_training_process_finds_one_that_is_better_on_held_out_examples(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prompt_tuning.methods import PromptSettings
    from prompt_tuning.trainable import Trainable

    monkeypatch.setattr(trainer_module, "_say", lambda _said: None)
    loaded = _load(str(model), 1)
    start = Trainable(loaded, PromptSettings(num_virtual_tokens=2)).initial(seed=0)
    node = Node(tmp_path, Trainer(str(model), 1).carry_out)
    shared_job = {"name": "v1", "dataset": "qa", "seed": 7, "local": {"learning_rate": 0.5}}
    (tmp_path / "training" / "v1").mkdir(parents=True)
    (tmp_path / "training" / "v1" / "job.json").write_text(JobSettings.model_validate(shared_job).model_dump_json())
    await node.promote("v1", shared_prompt(loaded.fingerprint, loaded.layout.fingerprint, **start))
    assert await node.settled() == "v1+personal"
    assert node.desk.gain is not None
    assert 0.02 <= node.desk.gain < 1
    live = node.worker.live
    assert live is not None
    assert live.epsilon == float("inf"), "its own examples have no bound"
    assert live.template.instruction == "Be brief."
    job = JobSettings.model_validate_json((tmp_path / "training" / "personal-v1" / "job.json").read_bytes())
    assert (job.seed, job.local.learning_rate, job.local.steps, job.instruction) == (7, 0.5, 15, "Be brief.")


def test_claims_of_differential_privacy_refuse_it() -> None:
    given = {"node_id": "a", "coordinator_url": "http://127.0.0.1:9", "training": {"personal": True}}
    with pytest.raises(ValidationError, match="voids the claims"):
        NodeSettings.model_validate(given | {"policy": {"training_privacy": "record"}})
    private = {"policy": {"answer_modes": ["dp"]}, "collections": [{"name": "a", "folder": "a"}]}
    with pytest.raises(ValidationError, match="voids the claims"):
        NodeSettings.model_validate(given | private)
    assert NodeSettings.model_validate(given).training.personal


def test_an_answers_version_with_its_suffix_travels() -> None:
    reply = Reply(request_id=1, mode="none", text="x", prompt_version="v1+personal")  # type: ignore[arg-type]
    back = decode_to_coordinator(encode(reply))
    assert isinstance(back, Reply)
    assert reply_message(1, node_answer("a", back)).prompt_version == "v1+personal"
