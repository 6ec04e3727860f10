"""Labelled tasks from files: question answering in SQuAD's format, intents in CLINC150's."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from frag.errors import BadRequestError
from prompt_tuning.dataset import Example, make_example
from server.evaluation.training.partition import Labelled

_MEND = "Give SQuAD-format JSON, or CLINC150's data file with domains.json beside it."


def load_task(path: Path, num_test_silos: int) -> Labelled:
    """Reads a task; the format is told by the content.

    Args:
        path: The file.
        num_test_silos: How many of the last articles are kept from training, in SQuAD's format.

    Raises:
        BadRequestError: The file cannot be read, or is of neither format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if "data" in content:
            return _squad(path.stem, content["data"], num_test_silos)
        domains = json.loads((path.parent / "domains.json").read_text(encoding="utf-8"))
        return _clinc(content, {intent: domain for domain, intents in domains.items() for intent in intents})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRequestError(f"The data set {path} cannot be used: {error!r}.", _MEND) from error


def load_domains(path: Path) -> Labelled:
    """CLINC150 by domain. Raises BadRequestError, also for a task in another format."""
    task = load_task(path, 1)
    if task.measure != "accuracy":
        raise BadRequestError(f"The data set {path} has no domains.", "Give CLINC150's data file.")
    return task


def merged(tasks: Sequence[Labelled]) -> Labelled:
    """Several tasks as one, each a silo of its own, so that nodes hold different ones.

    Nodes share one instruction, so what a task says of itself goes into its questions.
    """
    if len(tasks) == 1:
        return tasks[0]
    told = [[_told(task, examples) for examples in task.silos.values()] for task in tasks]
    return Labelled(
        name="+".join(task.name for task in tasks),
        silos={task.name: list(chain.from_iterable(silos)) for task, silos in zip(tasks, told, strict=True)},
        test=[example for task in tasks for example in _told(task, task.test)],
        measure="token_f1",
    )


def _told(task: Labelled, examples: Sequence[Example]) -> list[Example]:
    return [replace(example, question=f"{task.instruction} {example.question}".strip()) for example in examples]


def _squad(name: str, articles: list[Any], num_test_silos: int) -> Labelled:
    """The last articles are unseen: whole articles, so that no passage is on both sides."""
    if not 0 < num_test_silos < len(articles):
        raise BadRequestError(f"{num_test_silos} of {len(articles)} articles cannot be kept for testing.", _MEND)
    silos = {f"{number}-{article.get('title', '')}": _questions(article) for number, article in enumerate(articles)}
    keys = list(silos)
    return Labelled(
        name=name,
        silos={key: silos[key] for key in keys[:-num_test_silos]},
        test=[example for key in keys[-num_test_silos:] for example in silos[key]],
        measure="token_f1",
    )


def _questions(article: dict[str, Any]) -> list[Example]:
    return [
        make_example(
            question=item["question"],
            answers=tuple(dict.fromkeys(answer["text"] for answer in item["answers"])),
            passages=(paragraph["context"],),
        )
        for paragraph in article["paragraphs"]
        for item in paragraph["qas"]
        if item["answers"]
    ]


def _clinc(content: dict[str, Any], domain_of: dict[str, str]) -> Labelled:
    """Which domain an utterance belongs to; the natural silo is the domain itself, the hardest skew."""
    silos: dict[str, list[Example]] = {}
    for text, intent in content["train"]:
        domain = domain_of[intent]
        silos.setdefault(domain, []).append(make_example(question=text, answers=(_words(domain),)))
    test = [make_example(question=text, answers=(_words(domain_of[intent]),)) for text, intent in content["test"]]
    names = ", ".join(_words(domain) for domain in silos)
    return Labelled(
        name="clinc150",
        silos=silos,
        test=test,
        measure="accuracy",
        instruction=f"Say which of these domains the question belongs to: {names}. Answer with the domain alone.",
    )


def _words(name: str) -> str:
    return name.replace("_", " ")
