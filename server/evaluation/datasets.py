"""Labelled questions over documents: SQuAD-format JSON and MedQuAD's JSONL, and how they fall into silos."""

import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from frag.errors import BadRequestError
from frag.types import Document

_MEND = "Give SQuAD-format JSON, or JSONL with id, source, question and answer."


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledQuestion:
    """A question, the answers that count as right, and the document that holds them."""

    text: str = field(repr=False)
    golds: tuple[str, ...] = field(repr=False)
    document_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Documents by natural silo (article or agency), and questions about them."""

    name: str
    documents: Mapping[str, Sequence[Document]]
    questions: Sequence[LabelledQuestion]

    @property
    def num_documents(self) -> int:
        return sum(map(len, self.documents.values()))


def load_dataset(path: Path) -> Dataset:
    """Reads a data set; the format is told by the content.

    Raises:
        BadRequestError: The file is missing, or not of a known format; names the place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequestError(f"The data set {path} cannot be read: {error}.", _MEND) from error
    try:
        return _squad(path.stem, json.loads(text))
    except json.JSONDecodeError:
        return _medquad(path.stem, text)


def _squad(name: str, content: Any) -> Dataset:  # noqa: ANN401 - unchecked JSON
    """One document a paragraph; the silo is the article. Questions without an answer are left out."""
    documents: dict[str, list[Document]] = {}
    questions = []
    try:
        for number, article in enumerate(content["data"]):
            silo = str(article.get("title") or f"article-{number}")
            for place, paragraph in enumerate(article["paragraphs"]):
                document_id = f"{number}-{place}"
                document = Document(document_id=document_id, text=paragraph["context"])
                documents.setdefault(silo, []).append(document)
                questions += [_squad_question(item, document_id) for item in paragraph["qas"] if item["answers"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadRequestError(f"The data set {name} is not in SQuAD's format: {error!r}.", _MEND) from error
    return _checked(Dataset(name=name, documents=documents, questions=questions))


def _squad_question(item: Mapping[str, Any], document_id: str) -> LabelledQuestion:
    golds = tuple(dict.fromkeys(answer["text"] for answer in item["answers"]))
    return LabelledQuestion(text=item["question"], golds=golds, document_id=document_id)


def _medquad(name: str, text: str) -> Dataset:
    """One document an answer; the silo is the agency that published it."""
    documents: dict[str, list[Document]] = {}
    questions = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            document_id, silo, answer = str(row["id"]), str(row["source"]), str(row["answer"])
            question = LabelledQuestion(text=str(row["question"]), golds=(answer,), document_id=document_id)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise BadRequestError(f"Line {number} of the data set {name} does not fit: {error!r}.", _MEND) from error
        documents.setdefault(silo, []).append(Document(document_id=document_id, text=answer))
        questions.append(question)
    return _checked(Dataset(name=name, documents=documents, questions=questions))


def _checked(dataset: Dataset) -> Dataset:
    if not dataset.questions:
        raise BadRequestError(f"The data set {dataset.name} holds no question.", _MEND)
    return dataset


def sample_questions(dataset: Dataset, limit: int, seed: int) -> Dataset:
    """All documents and a seeded sample of `limit` questions; 0 keeps all."""
    if not 0 < limit < len(dataset.questions):
        return dataset
    chosen = sorted(random.Random(seed).sample(range(len(dataset.questions)), limit))  # noqa: S311
    return replace(dataset, questions=[dataset.questions[i] for i in chosen])


def split_into_silos(dataset: Dataset, num_silos: int, seed: int) -> dict[str, list[Document]]:
    """Natural silos under their own names, or merged: each goes to the silo with the fewest documents so far.

    Raises:
        BadRequestError: There are fewer natural silos than asked for.
    """
    if not 1 <= num_silos <= len(dataset.documents):
        raise BadRequestError(
            f"{dataset.name} has {len(dataset.documents)} natural silos, not {num_silos}.", "Ask for fewer (--silos)."
        )
    if num_silos == len(dataset.documents):
        return {_node_name(key, number): list(dataset.documents[key]) for number, key in enumerate(dataset.documents)}
    keys = sorted(dataset.documents)
    random.Random(seed).shuffle(keys)  # noqa: S311 - a reproducible split, no secret
    keys.sort(key=lambda key: -len(dataset.documents[key]))
    names = [f"silo-{number}" for number in range(num_silos)]
    sizes: Counter[str] = Counter(dict.fromkeys(names, 0))
    silos: dict[str, list[Document]] = {name: [] for name in names}
    for key in keys:
        smallest = min(names, key=lambda name: (sizes[name], name))
        silos[smallest] += dataset.documents[key]
        sizes[smallest] += len(dataset.documents[key])
    return silos


def _node_name(key: str, number: int) -> str:
    """A node id that resembles the name of a natural silo."""
    slug = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")[:50]
    return f"{slug or 'silo'}-{number}"
