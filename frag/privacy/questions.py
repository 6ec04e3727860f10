"""Personal data in a question: masked before it is sent, and put back into answers that repeat it.

Placeholders of a question are numbered Q1, Q2, …: nodes number their own without the Q, so that what a node has hidden
is never mistaken for what the asker wrote.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from frag.policy_settings import DEFAULT_ENTITY_TYPES
from frag.privacy.patterns import PatternRedactor
from frag.privacy.redaction import PLACEHOLDER, Span, replace, resolve_overlaps
from frag.protocols import Redactor

_WORD = r"[^\W\d_][\w'\u2019-]+"
_PROPER = r"[A-Z][\w'\u2019-]+"
_NO_NAME = r"(?!(?i:a|an|the|not|and|i|but|from|with|is|in|at|on|to|of|for|who)\b)"
_KIN = (
    r"wife|husband|partner|mother|father|mum|mom|dad|son|daughter|child|brother|sister|aunt|uncle|cousin|niece|nephew"
    r"|grandmother|grandfather|friend|neighbou?r|colleague|boss|patient|client|tenant|employee|student"
)
_OWN_NAMES = re.compile(
    rf"\b(?i:my name is|my name's|i am called|i'm called|patient name:?|full name:?)\s+"
    rf"({_NO_NAME}{_WORD}(?:\s+{_NO_NAME}{_WORD})?)"
    rf"|\b(?:I am|I'm)\s+({_PROPER}\s+{_PROPER})"
    rf"|\b(?i:(?:my|our)\s+(?:{_KIN}),?)\s+({_PROPER}(?:\s+{_PROPER})?)"
    rf"|\b(?i:the patient|patient)\s+({_PROPER}\s+{_PROPER})"
)


@dataclass(frozen=True, slots=True)
class ScrubbedQuestion:
    """What is sent, how many were masked by type, and the map back, which never leaves the asker's request."""

    text: str = field(repr=False)
    masked: Mapping[str, int]
    originals: Mapping[str, str] = field(repr=False)

    def restore(self, answer: str) -> str:
        """Puts the asker's own words in the place of their placeholders."""
        if not self.originals:
            return answer
        return PLACEHOLDER.sub(lambda match: self.originals.get(match[0].upper(), match[0]), answer)


class QuestionPatterns:
    """Identifiers of fixed form, and names that the asker introduces as private ("my name is", "my patient").

    Names as such are not masked: they are what many questions are about. Thread-safe; needs no model.
    """

    def __init__(self) -> None:
        self._patterns = PatternRedactor(DEFAULT_ENTITY_TYPES)

    def find(self, text: str) -> list[Span]:
        """Disjoint (start, end, TYPE) in order."""
        names = [(*match.span(match.lastindex or 0), "PERSON") for match in _OWN_NAMES.finditer(text)]
        return resolve_overlaps([*self._patterns.find(text), *names])


def scrub_question(question: str, redactor: Redactor) -> ScrubbedQuestion:
    """Masks what `redactor` finds. Equal values share a placeholder; those in the question keep their meaning."""
    spans = resolve_overlaps(redactor.find(question))
    taken = {match[0].upper() for match in PLACEHOLDER.finditer(question)}
    by_value: dict[tuple[str, str], str] = {}
    numbers = Counter[str]()
    for start, end, kind in spans:
        value = question[start:end]
        while (kind, value) not in by_value:
            numbers[kind] += 1
            placeholder = f"<{kind}_Q{numbers[kind]}>"
            if placeholder not in taken:
                by_value[kind, value] = placeholder
    labels = [by_value[kind, question[start:end]] for start, end, kind in spans]
    return ScrubbedQuestion(
        text=replace(question, [(start, end) for start, end, _ in spans], labels),
        masked=dict(Counter(kind for *_, kind in spans)),
        originals={placeholder: value for (_, value), placeholder in by_value.items()},
    )
