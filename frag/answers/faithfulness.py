"""A check of a merged text against the answers that it was merged from: nothing lost, nothing invented.

Words, not meanings: it cannot see a fact that was turned round in the same words.
"""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from frag.answers.function_words import FUNCTION_WORDS
from frag.privacy.folding import fold

_WORD = re.compile(r"[^\W_]+(?:[.,][0-9]+)*")
_MIN_STEM = 4  # letters; shorter words must be equal

KEEP_SHARE = 0.6
"""Share of an answer's content words from which it counts as kept."""

INVENT_SHARE = 0.2
"""Share of a merged text's content words that may come from elsewhere, numbers excepted; one always may."""


def content_words(text: str) -> set[str]:
    """Folded words that carry meaning, plural and inflection endings cut; numbers whole."""
    return {_stem(word) for word in _WORD.findall(fold(text).text) if word not in FUNCTION_WORDS}


def keeps(merged: str, answer: str, question: str) -> bool:
    """Whether `merged` says most of what `answer` adds to the question, and every number of it."""
    added = content_words(answer) - content_words(question) or content_words(answer)
    present = content_words(merged)
    return _numbers(added) <= present and len(added & present) >= KEEP_SHARE * len(added)


def invents(merged: str, answers: Sequence[str], question: str) -> bool:
    """Whether `merged` has a number, or more than a few words, that neither answers nor question have."""
    words = content_words(merged)
    foreign = words - content_words(question).union(*(content_words(answer) for answer in answers))
    return bool(_numbers(foreign)) or len(foreign) > max(1, INVENT_SHARE * len(words))


def _numbers(words: AbstractSet[str]) -> set[str]:
    return {word for word in words if any(char.isdigit() for char in word)}


def _stem(word: str) -> str:
    for ending in ("ings", "ing", "ies", "ed", "es", "s", "ly", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
            return word[: -len(ending)]
    return word
