"""What training costs by method and place, against the `peft` library's prompt tuning on the same model and examples.

All start from the same examples and are measured by the same loss on the same held-out ones. Computing the frozen keys
and values counts as training time.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frag.models import Kind, locate
from frag.types import Place
from prompt_tuning.dataset import Example, make_example
from prompt_tuning.local_training import LocalSettings, Schedule, train
from prompt_tuning.methods import MethodSettings, make_settings

if TYPE_CHECKING:
    from prompt_tuning.language_model import TransformersLanguageModel
    from prompt_tuning.trainable import Prepared, Trainable

_PASSAGE_CHARS = 900
_NUM_HELD_OUT = 16
OnRow = Callable[["TrainingRow"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRow:
    """One method at one place. `seconds_to_target` is None where the target was not reached in the steps given."""

    method: str
    place: str
    num_parameters: int
    prepare_s: float
    step_s: float
    examples_per_s: float
    final_loss: float
    seconds_to_target: float | None
    curve: list[tuple[float, float]] = field(repr=False)
    """(seconds since the start, held-out loss in nats a token)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """`target_loss` 0 means the loss that `peft` ends with."""

    examples: Sequence[Example]
    model_name: str
    methods: Sequence[str]
    places: Sequence[Place]
    steps: int
    peft_steps: int
    batch_size: int
    threads: int
    target_loss: float = 0.0
    look_every: int = 5


def measure_training(plan: TrainingPlan, on_row: OnRow) -> list[TrainingRow]:
    """`peft` first, then every method at every place. Raises ModelError when the model is missing."""
    from prompt_tuning.language_model import TransformersLanguageModel

    folder = locate(plan.model_name, Kind.LANGUAGE_MODEL)
    model = TransformersLanguageModel(folder, threads=plan.threads)
    rows = []
    target = plan.target_loss
    if plan.peft_steps:
        rows.append(_peft_row(plan, model, folder, target))
        target = target or rows[0].final_loss
        on_row(rows[0])
    for method in plan.methods:
        for place in plan.places:
            rows.append(_own_row(plan, model, make_settings({"kind": method, "place": place}), target))
            on_row(rows[-1])
    return rows


def _own_row(
    plan: TrainingPlan, model: "TransformersLanguageModel", settings: MethodSettings, target: float
) -> TrainingRow:
    from prompt_tuning.frozen_inputs import FrozenInputs
    from prompt_tuning.trainable import Trainable

    trainable = Trainable(model, settings, inputs=FrozenInputs(model.forward))
    started = time.perf_counter()
    examples = _prepared(trainable, plan.examples[_NUM_HELD_OUT:])
    prepare_s = time.perf_counter() - started
    held_out = _prepared(trainable, plan.examples[:_NUM_HELD_OUT])
    weights = trainable.initial(seed=0, vector_width=_vector_width(trainable))
    watch = _Watch(trainable, held_out, plan.look_every, prepare_s)
    local = LocalSettings(
        steps=plan.steps,
        batch_size=plan.batch_size,
        micro_batch_size=plan.batch_size,
        learning_rate=_LEARNING_RATES[settings.kind],
        warmup_steps=2,
        decay="constant",
        validate_every=plan.look_every,
        patience=plan.steps,
    )
    watch.begin()
    train(
        watch.watched(),
        weights,
        examples,
        local,
        Schedule(first_step=0, total_steps=plan.steps),
        seed=0,
        validation=held_out,
    )
    num_parameters = sum(value.size for value in weights.values())
    return watch.row(settings.kind, settings.place.value, num_parameters, prepare_s, plan, target)


_LEARNING_RATES = {"prompt": 0.02, "p_tuning": 0.002, "generator": 0.02, "deep": 0.01, "lora": 0.003, "full": 5e-5}


def _prepared(trainable: "Trainable", examples: Sequence[Example]) -> "list[Prepared]":
    vectors = None
    if trainable.method.reads_vectors:
        vectors = list(_embedder().embed([example.question for example in examples]))
    return trainable.prepare(examples, vectors=vectors)


def _vector_width(trainable: "Trainable") -> int:
    return _embedder().dimension if trainable.method.reads_vectors else 0


def _embedder() -> Any:  # noqa: ANN401 - the embedder's module is heavy to import
    from frag.settings import ModelSettings
    from server.node.assembly import load_embedder

    return load_embedder(ModelSettings())


class _Watch:
    """Looks at the held-out loss while training, off the clock."""

    def __init__(self, trainable: "Trainable", held_out: "Sequence[Prepared]", every: int, prepare_s: float) -> None:
        self._trainable = trainable
        self._held_out = held_out
        self._every = every
        self._prepare_s = prepare_s
        self._started = 0.0
        self._away = 0.0
        self._curve: list[tuple[float, float]] = []

    def begin(self) -> None:
        self._started = time.perf_counter()

    def watched(self) -> "Trainable":
        """The trainable whose looks at the validation share are recorded here."""
        real = self._trainable.mean_loss

        def look(tensors: Any, examples: Any) -> float:  # noqa: ANN401 - passed on as it is
            before = time.perf_counter()
            loss = real(tensors, examples)
            self._curve.append((self._prepare_s + before - self._started - self._away, loss))
            self._away += time.perf_counter() - before
            return loss

        self._trainable.mean_loss = look  # type: ignore[method-assign]
        return self._trainable

    def row(
        self, method: str, place: str, num_parameters: int, prepare_s: float, plan: TrainingPlan, target: float
    ) -> TrainingRow:
        return _row(method, place, num_parameters, prepare_s, self._curve, plan.steps, plan, target)


def _row(
    method: str,
    place: str,
    num_parameters: int,
    prepare_s: float,
    curve: list[tuple[float, float]],
    steps: int,
    plan: TrainingPlan,
    target: float,
) -> TrainingRow:
    step_s = (curve[-1][0] - prepare_s) / steps
    reached = [seconds for seconds, loss in curve if target and loss <= target]
    return TrainingRow(
        method=method,
        place=place,
        num_parameters=num_parameters,
        prepare_s=round(prepare_s, 2),
        step_s=round(step_s, 3),
        examples_per_s=round(plan.batch_size / step_s, 2),
        final_loss=round(curve[-1][1], 4),
        seconds_to_target=round(reached[0], 2) if reached else None,
        curve=[(round(x, 2), round(y, 4)) for x, y in curve],
    )


def _peft_row(plan: TrainingPlan, model: "TransformersLanguageModel", folder: Path, target: float) -> TrainingRow:
    """Prompt tuning as `peft` does it: virtual tokens before the input, all of it forward and backward at each step."""
    from server.benchmark.peft_prompt import PeftPrompt

    peft = PeftPrompt(model, folder, plan.examples[_NUM_HELD_OUT:], plan.batch_size, _LEARNING_RATES["prompt"])
    held_out = plan.examples[:_NUM_HELD_OUT]
    curve: list[tuple[float, float]] = []
    seconds = 0.0
    for step in range(plan.peft_steps):
        started = time.perf_counter()
        peft.step()
        seconds += time.perf_counter() - started
        if (step + 1) % plan.look_every == 0 or step + 1 == plan.peft_steps:
            curve.append((seconds, peft.mean_loss(held_out)))
    goal = target or curve[-1][1]
    return _row("peft prompt", "before", peft.num_parameters, 0.0, curve, plan.peft_steps, plan, goal)


def built_in_examples() -> list[Example]:
    """Questions over the demo's documents: which words follow these, a task that a prompt can learn the form of."""
    folder = Path(__file__).parent.parent / "demo" / "silos"
    examples = []
    for path in sorted(folder.rglob("*.md")) + sorted(folder.rglob("*.txt")):
        words = path.read_text(encoding="utf-8").split()
        passage = " ".join(words)[:_PASSAGE_CHARS]
        inside = passage.split()
        for start in range(0, len(inside) - 12, 9):
            question = f"Which words follow “{' '.join(inside[start : start + 5])}”?"
            answer = " ".join(inside[start + 5 : start + 9])
            examples.append(make_example(question=question, answers=(answer,), passages=(passage,)))
    return examples
