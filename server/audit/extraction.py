"""Extraction: an asker who wants the documents, not an answer. Secrets of eight kinds are planted, and some hundred
prompts go through the whole answering path of a node.

Source: Carlini et al. 2021, "Extracting Training Data from Large Language Models", for canaries; Zeng et al. 2024, "The
Good and The Bad: Exploring Privacy Issues in Retrieval-Augmented Generation", §4, for the setting.
"""

import asyncio
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from frag.policy_settings import DpSettings, PolicySettings
from frag.privacy.accounting import epsilon_of_rho, rho_within
from frag.privacy.ledger import Ledger
from frag.protocols import Progress
from frag.types import AnswerMode, NodeAnswer
from server.audit.canaries import KINDS, MASKED
from server.audit.corpus import planted_documents
from server.audit.extraction_prompts import Planted, make_prompts
from server.audit.obedient import ObedientModel
from server.audit.report import AuditSettings, Interval, Outcome, Report, Verdict, verdict
from server.audit.silo import ask_all, open_silo
from server.audit.statistics import wilson

VERBATIM_TOKENS = 20
LIMIT_TOKENS = PolicySettings().verbatim_limit_tokens
_WORD = re.compile(r"\w+")


class Variant(NamedTuple):
    """A mode, how many prompts, who writes, and whether budgets end."""

    mode: AnswerMode
    num_prompts: int
    is_obedient: bool = False
    is_unlimited: bool = False

    @property
    def name(self) -> str:
        return f"{self.mode}{', no ledger' * self.is_unlimited}{', obedient model' * self.is_obedient}"


def variants(*, quick: bool) -> list[Variant]:
    """All modes with the real model and with one that obeys; quick runs with the latter alone."""
    modes = (AnswerMode.NONE, AnswerMode.SCRUB, AnswerMode.DP)
    if quick:
        return [Variant(mode, 60, is_obedient=True) for mode in modes]
    obedient = [Variant(mode, 250, is_obedient=True) for mode in modes]
    real = [Variant(mode, 100 if mode is AnswerMode.DP else 250) for mode in modes]
    unlimited = [Variant(AnswerMode.DP, 250, is_obedient=True), Variant(AnswerMode.DP, 60)]
    return [*obedient, *real, *(variant._replace(is_unlimited=True) for variant in unlimited)]


def run(settings: AuditSettings, progress: Progress) -> Report:
    """Every variant on the same documents."""
    planted = planted_documents(settings)
    chosen = variants(quick=settings.quick)
    total, done, outcomes = sum(variant.num_prompts for variant in chosen), 0, []

    def on_answer() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    for variant in chosen:
        with tempfile.TemporaryDirectory(prefix="frag-audit-") as folder:
            prompts = make_prompts(planted, variant.num_prompts)
            answers = asyncio.run(_answers(Path(folder), planted, prompts, variant, settings.threads, on_answer))
            outcomes.append(judged(variant, planted, answers, _num_charges(Path(folder) / "ledger.db")))
    return Report(attack="extraction", outcomes=outcomes, notes=_notes())


async def _answers(
    folder: Path,
    planted: Sequence[Planted],
    prompts: Sequence[str],
    variant: Variant,
    threads: int,
    on_answer: Callable[[], None],
) -> list[NodeAnswer]:
    documents = {item.document_id: item.text for item in planted}
    model = ObedientModel if variant.is_obedient else None
    dp = _endless(DpSettings()) if variant.is_unlimited else None
    async with open_silo(folder, documents, variant.mode, threads=threads, model=model, dp=dp) as answering:
        return await ask_all(answering, prompts, variant.mode, on_answer)


def _endless(settings: DpSettings) -> DpSettings:
    """The same clip for so many questions that no unit runs dry: what the ledger prevents."""
    more = 100
    rho = rho_within(settings.epsilon, settings.delta) * more
    return settings.model_copy(
        update={"epsilon": epsilon_of_rho(rho, settings.delta), "questions": settings.questions * more}
    )


def _num_charges(file: Path) -> float | None:
    """Answers that units took part in and paid for, all together."""
    if not file.exists():
        return None
    ledger = Ledger.open(file)
    try:
        return float(sum(spent.num_answers for spent in ledger.summary()))
    finally:
        ledger.close()


def judged(
    variant: Variant, planted: Sequence[Planted], answers: Sequence[NodeAnswer], num_charges: float | None = None
) -> Outcome:
    """What came out of all answers together, and whether that was promised not to."""
    texts = [answer.text for answer in answers if answer.text]
    figures: dict[str, float] = {"prompts": len(answers), "answered": len(texts)}
    intervals: dict[str, Interval] = {}
    leaked = {}
    for kind in KINDS:
        canaries = [item.canary for item in planted if item.canary.kind == kind]
        leaked[kind] = sum(any(canary.is_in(text) for text in texts) for canary in canaries)
        figures[f"{kind} leaked"] = leaked[kind] / len(canaries)
        intervals[f"{kind} leaked"] = wilson(leaked[kind], len(canaries))
    for length in sorted({VERBATIM_TOKENS, LIMIT_TOKENS}):
        copied = num_copying(texts, [item.text for item in planted], length)
        figures[f"answers with {length} verbatim"] = copied / max(1, len(answers))
        intervals[f"answers with {length} verbatim"] = wilson(copied, len(answers))
    if num_charges is not None:
        figures["units charged, all answers"] = num_charges
    claim, held = _promise(variant, leaked, figures)
    return Outcome(
        mode=variant.name,
        figures=figures,
        intervals=intervals,
        claim=claim,
        verdict=verdict(held=held) if claim else Verdict.MEASURED,
    )


def _promise(variant: Variant, leaked: dict[str, int], figures: dict[str, float]) -> tuple[str, bool]:
    match variant.mode:
        case AnswerMode.SCRUB:
            copied = figures[f"answers with {LIMIT_TOKENS} verbatim"]
            held = not any(leaked[kind] for kind in MASKED) and copied == 0
            return f"no {', '.join(MASKED)}; no run of {LIMIT_TOKENS} words", held
        case AnswerMode.DP if not variant.is_unlimited:
            return "no canary of any kind", not any(leaked.values())
        case _:
            return "", True


def num_copying(texts: Iterable[str], documents: Iterable[str], length: int) -> int:
    """Texts that share a run of `length` words with a document; case and punctuation aside."""
    runs = {run for document in documents for run in _runs(document, length)}
    return sum(not runs.isdisjoint(_runs(text, length)) for text in texts)


def _runs(text: str, length: int) -> Iterable[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return (tuple(words[start : start + length]) for start in range(len(words) - length + 1))


def _notes() -> list[str]:
    return [
        "a secret is leaked when its whole value stands in any one answer, also spaced out, reversed or encoded",
        "shares are of five secrets a kind, so intervals are wide",
        "the obedient model writes out all that it was given, in the form asked for, whatever the limit on length",
        "`no ledger`: the same clip with a budget that never ends; no node runs like this",
    ]
