"""`frag eval pii`: which personal data redaction finds in labelled texts, and what it takes for personal data.

The set is made of templates filled by a generator, so texts of one template fall into one fold. Fold 0 is the honest
figure: our recognisers were written by people who looked at texts of the other folds and never at those of fold 0.
"""

import hashlib
import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frag.errors import BadRequestError
from frag.models import Kind, locate
from frag.policy_settings import DEFAULT_ENTITY_TYPES
from frag.privacy.patterns import PatternRedactor
from frag.privacy.pii import MIN_SCORE, PresidioRedactor, plain_analyzer
from frag.privacy.redaction import Span, resolve_overlaps
from frag.protocols import Redactor
from frag.settings import ModelSettings

TYPES = (
    "PERSON",
    "PHONE_NUMBER",
    "EMAIL_ADDRESS",
    "CREDIT_CARD",
    "US_SSN",
    "IBAN_CODE",
    "STREET_ADDRESS",
)
"""What the policy's defaults promise to look for, as far as the set has labels for it."""

MIN_CLAIM = 30
"""Spans below which nothing is claimed of a type by itself."""

_MEND = "Give presidio-research's JSON: a list of texts with full_text, spans and template_id."


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text with its personal data: (start, end, TYPE), all types that are labelled."""

    text: str = field(repr=False)
    spans: tuple[Span, ...]
    template: str


def load_labelled(path: Path) -> list[LabelledText]:
    """Raises BadRequestError when the file is missing or of another form."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        texts = [
            LabelledText(
                row["full_text"],
                tuple((s["start_position"], s["end_position"], s["entity_type"]) for s in row["spans"]),
                str(row["template_id"]),
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRequestError(f"The labelled texts {path} cannot be read: {type(error).__name__}.", _MEND) from error
    if not texts:
        raise BadRequestError(f"There is no labelled text in {path}.", _MEND)
    return texts


def fold_of(template: str, num_folds: int) -> int:
    """By a hash of the template alone: a text never changes its fold."""
    return int.from_bytes(hashlib.sha256(f"frag-pii {template}".encode()).digest()[:8]) % num_folds


@dataclass(slots=True)
class Score:
    """Counts over texts; all of them add up."""

    found: Counter[str] = field(default_factory=Counter)
    labelled: Counter[str] = field(default_factory=Counter)
    num_right: int = 0
    num_predicted: int = 0

    def add(self, labelled: LabelledText, predicted: Sequence[Span]) -> None:
        """A labelled span is found when every character of it but white space and punctuation is covered.

        A prediction is right when it touches a labelled span of any type: a city inside of an address is no error.
        """
        covered = {place for start, end, _ in predicted for place in range(start, end)}
        for start, end, kind in labelled.spans:
            if kind in TYPES:
                self.labelled[kind] += 1
                self.found[kind] += all(
                    place in covered for place in range(start, end) if labelled.text[place].isalnum()
                )
        for start, end, kind in predicted:
            if kind in TYPES:
                self.num_predicted += 1
                self.num_right += any(start < right and left < end for left, right, _ in labelled.spans)

    def as_dict(self) -> dict[str, Any]:
        """Recall over all and by type, precision; each with its 95 % interval."""
        return {
            "recall": _share(self.found.total(), self.labelled.total()),
            "precision": _share(self.num_right, self.num_predicted),
            "by_type": {
                kind: _share(self.found[kind], self.labelled[kind]) | {"claimed": self.labelled[kind] >= MIN_CLAIM}
                for kind in TYPES
            },
        }


def usual_redactors() -> dict[str, Redactor]:
    """Redaction as a policy has it by default, with the model's names alone, and by forms alone.

    Raises:
        ModelError: The named-entity model is missing.
    """
    folder = locate(ModelSettings().ner, Kind.NER)
    return {
        "thorough": PresidioRedactor(folder, DEFAULT_ENTITY_TYPES),
        "model": PresidioRedactor(folder, DEFAULT_ENTITY_TYPES, names="model"),
        "patterns": PatternRedactor(DEFAULT_ENTITY_TYPES),
        "presidio": PlainPresidio(folder),
    }


class PlainPresidio:
    """Presidio with its own recognisers and the same model, as it comes; e-mail addresses by ours."""

    def __init__(self, model_folder: Path) -> None:
        self._analyzer = plain_analyzer(model_folder)
        self._emails = PatternRedactor(["EMAIL_ADDRESS"])

    def find(self, text: str) -> list[Span]:
        """Spans of the types that are measured, overlaps united."""
        found = self._analyzer.analyze(text, "en", score_threshold=MIN_SCORE)
        own = [(result.start, result.end, result.entity_type) for result in found]
        return resolve_overlaps([*own, *self._emails.find(text)])


def evaluate_pii(
    texts: Sequence[LabelledText],
    redactors: Mapping[str, Redactor],
    num_folds: int,
    tick: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """For every redactor: held out (fold 0), looked at (the others), all, each fold's recall, and texts a second."""
    return {
        "num_texts": len(texts),
        "num_templates": len({text.template for text in texts}),
        "systems": {name: _evaluate(texts, redactor, num_folds, name, tick) for name, redactor in redactors.items()},
    }


def _evaluate(
    texts: Sequence[LabelledText],
    redactor: Redactor,
    num_folds: int,
    name: str,
    tick: Callable[[str, int, int], None],
) -> dict[str, Any]:
    folds: defaultdict[int, Score] = defaultdict(Score)
    started = time.perf_counter()
    for number, text in enumerate(texts, 1):
        folds[fold_of(text.template, num_folds)].add(text, redactor.find(text.text))
        tick(name, number, len(texts))
    seconds = time.perf_counter() - started
    return {
        "held_out": folds[0].as_dict(),
        "looked_at": _sum(folds[fold] for fold in range(1, num_folds)).as_dict(),
        "all": _sum(folds[fold] for fold in range(num_folds)).as_dict(),
        "recall_by_fold": [folds[fold].as_dict()["recall"]["value"] for fold in range(num_folds)],
        "texts_per_s": round(len(texts) / seconds, 1),
    }


def _sum(scores: Iterable[Score]) -> Score:
    total = Score()
    for score in scores:
        total.found.update(score.found)
        total.labelled.update(score.labelled)
        total.num_right += score.num_right
        total.num_predicted += score.num_predicted
    return total


def _share(part: int, whole: int) -> dict[str, Any]:
    low, high = wilson(part, whole)
    value = round(part / whole, 4) if whole else None
    return {"value": value, "interval_95": [low, high], "count": whole}


def wilson(part: int, whole: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share. Source: Wilson 1927, "Probable Inference"; (0, 1) of nothing."""
    if not whole:
        return 0.0, 1.0
    share = part / whole
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)
