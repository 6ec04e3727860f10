"""The one door out of a node: a draft goes in, and what may leave comes out, or why nothing may.

A filter, pure and synchronous. It fails closed: whatever is left after redaction and cutting is looked at
again, and held back when either check still finds something.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from frag.answers.abstention import says_nothing
from frag.privacy.patterns import PatternRedactor
from frag.privacy.redaction import PLACEHOLDER, Span, placeholders, replace, resolve_overlaps
from frag.privacy.verbatim import ELISION, VerbatimGuard
from frag.protocols import Redactor
from frag.types import AnswerMode

_WORD = re.compile(r"\w+")
_FILLERS = frozenset("a an and at by for from in is it of on or the to was were with dr mr mrs ms".split())  # noqa: SIM905
_CUT = "VERBATIM"  # sorted out before counting: never a type of personal data


class WithheldReason(StrEnum):
    """Why nothing leaves; the values travel to the asker, so they say nothing about the documents."""

    NO_EVIDENCE = "no_evidence"
    NO_ANSWER = "no_answer"
    VERBATIM = "verbatim"
    PII = "pii"
    NOTHING_LEFT = "nothing_left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What the model wrote, and the cosine in [-1, 1] of the question with the best passage (-1: none)."""

    text: str = field(repr=False)
    evidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRules:
    """The node's policy for one answer.

    Attributes:
        mode: Already checked against the modes that the node allows.
        entity_types: Types of personal data that the last check looks for, as far as they have a form.
        verbatim_limit_tokens: Shortest run of word tokens that counts as copied, at least 2.
        min_evidence: Cosine below which the node abstains.
    """

    mode: AnswerMode
    entity_types: tuple[str, ...]
    verbatim_limit_tokens: int = 16
    min_evidence: float = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A text that may leave, never blank, with the number of redacted spans per type."""

    text: str = field(repr=False)
    redactions: Mapping[str, int]
    num_cuts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Nothing leaves."""

    reason: WithheldReason


Outcome = Released | Withheld


def release(draft: Draft, rules: ReleaseRules, redactor: Redactor, passages: Sequence[str]) -> Outcome:
    """Decides what of `draft` leaves the node.

    Args:
        draft: The generated text with the strength of its evidence.
        rules: The policy. Mode `none` abstains and changes nothing else.
        redactor: Finds the personal data that the policy names.
        passages: What may not be copied: the passages as stored, and as the model saw them.
    """
    if (reason := _abstention(draft, rules)) is not None:
        return Withheld(reason=reason)
    match rules.mode:
        case AnswerMode.NONE:
            return Released(text=draft.text, redactions={})
        case AnswerMode.SCRUB | AnswerMode.CONSENSUS:
            return _scrub(draft.text, rules, redactor, VerbatimGuard(passages, rules.verbatim_limit_tokens))
        case AnswerMode.DP:
            raise ValueError("a filter is not differential privacy")
        case _:
            assert_never(rules.mode)


def _abstention(draft: Draft, rules: ReleaseRules) -> WithheldReason | None:
    if math.isnan(draft.evidence) or draft.evidence < rules.min_evidence:
        return WithheldReason.NO_EVIDENCE
    return WithheldReason.NO_ANSWER if says_nothing(draft.text) else None


def _scrub(text: str, rules: ReleaseRules, redactor: Redactor, guard: VerbatimGuard) -> Outcome:
    """Both filters read the same raw text and act at once, so neither hides anything from the other."""
    cuts = [(start, end, _CUT) for start, end in guard.spans(text)]
    scrubbed, redactions, num_cuts = _apply(text, redactor.find(text), cuts)
    if guard.copies(scrubbed):
        return Withheld(reason=WithheldReason.VERBATIM)
    if PatternRedactor(rules.entity_types).find(scrubbed):
        return Withheld(reason=WithheldReason.PII)
    if not _has_content(scrubbed):
        return Withheld(reason=WithheldReason.NOTHING_LEFT)
    return Released(text=scrubbed, redactions=redactions, num_cuts=num_cuts)


def _has_content(scrubbed: str) -> bool:
    """Whether more is left than placeholders, elisions and the small words between them."""
    words = _WORD.findall(PLACEHOLDER.sub(" ", scrubbed).casefold())
    return any(word not in _FILLERS for word in words)


def _apply(text: str, personal: Sequence[Span], cuts: Sequence[Span]) -> tuple[str, Mapping[str, int], int]:
    """Replaces personal data and cuts together; where both claim characters, all of them are cut."""
    spans = [
        (start, end, _CUT if any(start < cut[1] and cut[0] < end for cut in cuts) else kind)
        for start, end, kind in resolve_overlaps([*personal, *cuts])
    ]
    kinds = [kind for *_, kind in spans]
    named = iter(placeholders(text, [span for span in spans if span[2] != _CUT]))
    replacements = [ELISION if kind == _CUT else next(named) for kind in kinds]
    counts = Counter(kind for kind in kinds if kind != _CUT)
    return replace(text, [(start, end) for start, end, _ in spans], replacements), counts, kinds.count(_CUT)
