"""Membership: is this document in the index? An attacker who knows all of a record but one word asks for that word.

In `none` and `scrub` the whole answering path of a node is asked, and the attacker's best simple statistic counts. In
`dp` the logits of the language model are recorded once and the token mechanism runs thousands of times on them.

Source: Anderson, Amit and Goldsteen 2024, "Is My Data in Your Retrieval Database?", for the attack.
"""

import asyncio
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from frag.protocols import Progress
from frag.sampling import derive_seed
from frag.types import AnswerMode, NodeAnswer
from server.audit import membership_dp
from server.audit.obedient import ObedientModel
from server.audit.report import AuditSettings, Outcome, Report, Verdict
from server.audit.silo import ask_all, open_silo
from server.audit.statistics import Scores, separation, wilson

_WARDS = ("north", "south", "harbour", "garden", "upper", "old")
_WORK = ("a baker", "a crane driver", "a violinist", "a bus driver", "a roofer", "a librarian", "a diver", "a farmer")
_SIGNS = ("a fever", "a swollen knee", "a dry cough", "a rash", "a tremor", "back pain", "vertigo", "a burned hand")
_PETS = ("two cats", "a parrot", "bees", "an old dog", "carp", "goats", "no pets", "a tortoise")
_SYLLABLES = ("vel", "nor", "azi", "pra", "tol", "xem", "ibu", "lor", "dex", "mir", "tan", "oxa")


class Record(NamedTuple):
    """A document, the question that asks for its `rare` word, and whether it is in the index."""

    text: str
    question: str
    rare: str
    is_member: bool

    def __repr__(self) -> str:
        return f"Record({len(self.text)} chars, is_member={self.is_member})"


def make_records(number: int, seed: int) -> list[Record]:
    """Case notes that differ in a few facts; half of them, drawn by chance, are members.

    The attacker knows all of a note but the medicine.
    """
    draw = random.Random(derive_seed(seed, "records"))  # noqa: S311 - the attacker's dice
    members = [index % 2 == 0 for index in range(number)]
    draw.shuffle(members)
    codes = draw.sample(range(1000, 10_000), number)
    records = []
    for code, is_member in zip(codes, members, strict=True):
        known = (
            f"Case {code}, {draw.choice(_WARDS)} ward: {draw.choice(_WORK)} with {draw.choice(_SIGNS)}, keeps "
            f"{draw.choice(_PETS)} and left after {draw.randint(2, 30)} days."
        )
        rare = "".join(draw.sample(_SYLLABLES, 3)) + "ine"
        records.append(Record(f"{known} The medicine was {rare}.", f"{known} Which medicine?", rare, is_member))
    return records


def run(settings: AuditSettings, progress: Progress) -> Report:
    """Modes `none` and `scrub` at a node, then `dp` on the mechanism."""
    records = make_records(60 if settings.quick else 240, settings.seed)
    total, done = 2 * len(records) + membership_dp.NUM_STAGES, 0

    def on_answer() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    outcomes = []
    for mode in (AnswerMode.NONE, AnswerMode.SCRUB):
        with tempfile.TemporaryDirectory(prefix="frag-audit-") as folder:
            answers = asyncio.run(_answers(Path(folder), records, mode, settings, on_answer))
        outcomes.append(judged(mode, records, answers))
    outcomes += membership_dp.outcomes([record.text for record in records], records[0].question, settings, on_answer)
    notes = [
        "in none and scrub the attacker's statistic is the best of four, chosen with hindsight; nothing is promised",
        "dp runs on logits recorded along one answer: token mechanisms composed, not answers that follow their tokens",
        "in dp the attacker knows all logits and computes the likelihood ratio",
    ]
    return Report(attack="membership", outcomes=outcomes, notes=notes)


async def _answers(
    folder: Path, records: Sequence[Record], mode: AnswerMode, settings: AuditSettings, on_answer: Callable[[], None]
) -> list[NodeAnswer]:
    documents = {f"case-{index}": record.text for index, record in enumerate(records) if record.is_member}
    model = ObedientModel if settings.quick else None
    async with open_silo(folder, documents, mode, threads=settings.threads, model=model) as answering:
        return await ask_all(answering, [record.question for record in records], mode, on_answer)


def statistics_of(record: Record, answer: NodeAnswer) -> Mapping[str, float]:
    """What an attacker can read off one answer; higher speaks for membership."""
    return {
        "rare word": float(record.rare in answer.text.lower()),
        "answered": float(not answer.withheld),
        "score": answer.score,
        "citation": max((citation.score for citation in answer.citations), default=-1.0),
    }


def judged(mode: AnswerMode, records: Sequence[Record], answers: Sequence[NodeAnswer]) -> Outcome:
    """AUC of every statistic, and the true positives at 1 % of the best."""
    read = [statistics_of(record, answer) for record, answer in zip(records, answers, strict=True)]
    found = {}
    for name in read[0]:
        inside, outside = (_scores(records, read, name, is_member=side) for side in (True, False))
        found[name] = separation(inside, outside)
    best = max(found, key=lambda name: (found[name].auc, found[name].tpr))
    num_members = sum(record.is_member for record in records)
    return Outcome(
        mode=mode,
        figures={
            "members": num_members,
            "others": len(records) - num_members,
            "auc": found[best].auc,
            "tpr at 1 % fpr": found[best].tpr,
            **{f"auc of {name}": separated.auc for name, separated in found.items()},
        },
        intervals={"tpr at 1 % fpr": wilson(found[best].num_true, num_members)},
        verdict=Verdict.MEASURED,
    )


def _scores(records: Sequence[Record], read: Sequence[Mapping[str, float]], name: str, *, is_member: bool) -> Scores:
    return np.array([row[name] for record, row in zip(records, read, strict=True) if record.is_member is is_member])
