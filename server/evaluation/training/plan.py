"""From the options of the command line to a job and a task."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from frag.errors import BadRequestError, SettingsError
from frag.types import Place
from prompt_tuning.dataset import Example
from prompt_tuning.job import JobSettings, load_job, places_of
from prompt_tuning.methods import KINDS
from server.evaluation.training.budget import Contender
from server.evaluation.training.partition import Labelled


def make_job(
    file: Path | None,
    *,
    method: str = "",
    place: str = "",
    rounds: int = 0,
    steps: int = 0,
    learning_rate: float = 0.0,
    strategy: str = "",
) -> JobSettings:
    """The job of `file`, or a default one, with what the options say. Raises SettingsError."""
    base = load_job(file) if file else JobSettings(name="evaluation", dataset="evaluation")
    changes: dict[str, Any] = base.model_dump(mode="json")
    if method and method != base.method.kind:
        changes["method"] = {"kind": method}
    if place:
        changes["method"] = changes["method"] | {"place": place}
    if strategy and strategy != base.strategy.kind:
        changes["strategy"] = {"kind": strategy}
    for section, key, value in (
        ("rounds", "number", rounds),
        ("local", "steps", steps),
        ("local", "learning_rate", learning_rate),
    ):
        if value:
            changes[section] = changes[section] | {key: value}
    try:
        return JobSettings.model_validate(changes)
    except ValidationError as error:
        raise SettingsError(f"The job does not fit: {places_of(error)}.", "Mend these values.") from error


def limited(task: Labelled, *, num_test: int, num_train: int) -> Labelled:
    """Evenly spread test questions, and the first training examples of every silo; 0 keeps all."""
    test = task.test
    if 0 < num_test < len(test):
        test = [test[place * len(test) // num_test] for place in range(num_test)]
    silos = {name: examples[: num_train or None] for name, examples in task.silos.items()}
    return replace(task, test=test, silos=silos)


def spread(task: Labelled, *, num_test: int, num_train: int) -> Labelled:
    """Like `limited`, with the training examples evenly spread over each silo too, so that all its topics are there."""
    silos = {name: _evenly(examples, num_train) for name, examples in task.silos.items()}
    return replace(task, test=_evenly(task.test, num_test), silos=silos)


def _evenly(examples: Sequence[Example], number: int) -> Sequence[Example]:
    if not 0 < number < len(examples):
        return examples
    return [examples[place * len(examples) // number] for place in range(number)]


def make_contenders(text: str) -> list[Contender]:
    """Raises BadRequestError when `text` is not a list of kind:place:learning-rate."""
    mend = "Write for example lora:after:3e-3,deep:before:1e-2."
    contenders = []
    for part in text.split(","):
        fields = part.strip().split(":")
        try:
            kind, place, rate = fields
            contender = Contender(kind, str(Place(place)), float(rate))
        except ValueError as error:
            raise BadRequestError(f"{part!r} is not kind:place:learning-rate.", mend) from error
        if kind not in KINDS:
            raise BadRequestError(f"There is no method {kind!r}.", f"Use one of {', '.join(KINDS)}.")
        contenders.append(contender)
    return contenders
