"""What two statements must have in common beside their drift: numbers with units, dates, names, negation.

Embeddings put "5 mg" beside "50 mg" and "is" beside "is not"; these rules do not. They err towards difference: two
statements that mean the same may differ here, and then one does not support the other.
"""

import re
from dataclasses import dataclass

from frag.answers.function_words import FUNCTION_WORDS
from frag.answers.quantities import MONTHS, NUMBER_WORDS, TOKEN, quantities, take_dates
from frag.privacy.folding import fold

_NEGATIONS = frozenset(
    """
    no not never none nobody nothing neither nor cannot without denies denied deny lack lacks lacked absent absence
    unable fails failed refuses refused contraindicated
    """.split()  # noqa: SIM905 (a list of words reads better as words)
)
_NOT_ONLY = re.compile(r"\b(?:not only|no longer than|no more than|not least|no less than|no doubt)\b")
_NAME = re.compile(r"\b[^\W\d_][\w’'-]*\b")


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one statement. `names` are capitalised words, folded; a first word counts although it may be no name."""

    numbers: frozenset[tuple[float, str]]
    dates: frozenset[tuple[int, int, int]]
    names: frozenset[str]
    words: frozenset[str]
    is_negated: bool

    def agree(self, other: "Facts") -> bool:
        """Equal numbers, dates and polarity, and each has the words that are names in the other."""
        return (
            (self.numbers, self.dates, self.is_negated) == (other.numbers, other.dates, other.is_negated)
            and self.names <= other.words
            and other.names <= self.words
        )


def facts_of(statement: str) -> Facts:
    """Reads a statement; see `Facts`."""
    dates, plain = take_dates(fold(statement).text)
    tokens = TOKEN.findall(plain)
    names = _names(statement)
    return Facts(
        numbers=frozenset(quantities(tokens)),
        dates=frozenset(dates),
        names=frozenset(names),
        words=frozenset(map(_without_possessive, tokens)) | names | MONTHS.keys(),  # months are compared as dates
        is_negated=_is_negated(plain),
    )


def _is_negated(plain: str) -> bool:
    """An odd number of negations; "not only" and its like are none."""
    tokens = TOKEN.findall(_NOT_ONLY.sub(" ", plain))
    negations = [token for token in tokens if token in _NEGATIONS or token.endswith(("n't", "n’t"))]
    return len(negations) % 2 == 1


def _names(statement: str) -> set[str]:
    """Capitalised words, or their parts where they have a hyphen, but small words and numbers; WHO is no small word."""
    capitalised = [match[0] for match in _NAME.finditer(statement) if match[0][0].isupper()]
    parts = [part for word in capitalised for part in word.split("-") if part]
    names = {_without_possessive(fold(part).text) for part in parts}
    acronyms = {fold(part).text for part in parts if len(part) > 1 and part.isupper()}
    return (names - FUNCTION_WORDS - NUMBER_WORDS) | acronyms


def _without_possessive(word: str) -> str:
    return word.removesuffix("'s").removesuffix("’s")
