"""Names of persons that a small named-entity model misses or takes for places and firms.

A word marks a name when it is a known given name, a known surname that no place is called by, or a capitalised word
that the model's vocabulary has never met and that is no place. Marked words grow over initials, particles and
capitalised neighbours, and mark every other place where they stand. That finds most names and takes some other rare
words for names: the price of a filter that would rather hide too much.
"""

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from frag.privacy.name_lexicon import ALSO_WORDS, NameLexicon
from frag.privacy.redaction import Span

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_ENDING = re.compile(r"['’](?:s|ll|d|m|re|ve)$", re.IGNORECASE)
_GAP = re.compile(r"\.? ")
_PARTICLES = frozenset(
    """
    af al av bin da de del della den der di dos du el la le ten ter van von y zu
    """.split()  # noqa: SIM905 (a list of words reads better as words)
)
_NEVER = frozenset(
    """
    a an and as at but by how if in inc it llc ltd mr mrs ms on or that the they this we what when where who why
    """.split()  # noqa: SIM905 (a list of words reads better as words)
)
_LEAST_LETTERS = 3
_LONGEST_ACRONYM = 4
PLACES = frozenset({"GPE", "NORP", "LOC", "LANGUAGE"})
"""Labels of spaCy's models that a surname or an unknown word does not overrule."""

Entity = tuple[int, int, str]
"""(start, end, label) of a named-entity model."""


@dataclass(slots=True)
class _Text:
    """One text with its words and what the model says of their first characters."""

    text: str = field(repr=False)
    words: list[re.Match[str]] = field(repr=False)
    persons: frozenset[int]
    places: frozenset[int]
    is_lower: bool

    def begins_sentence(self, index: int) -> bool:
        before = self.text[: self.words[index].start()].rstrip(" \"'“(>*-\t")
        return not before or before[-1] in ".!?\n:;"

    def touches(self, left: int, right: int) -> bool:
        return _GAP.fullmatch(self.text[self.words[left].end() : self.words[right].start()]) is not None


class NameFinder:
    """Finds names beside what a named-entity model found. Thread-safe.

    Args:
        lexicon: Known names.
        vocabulary: Words that the model has met, in their own spelling.
    """

    def __init__(self, lexicon: NameLexicon, vocabulary: AbstractSet[str]) -> None:
        self._lexicon = lexicon
        self._vocabulary = vocabulary

    def find(self, text: str, entities: Sequence[Entity]) -> Iterator[Span]:
        """Disjoint (start, end, "PERSON") in order, those of the model included."""
        seen = _Text(
            text=text,
            words=list(_WORD.finditer(text)),
            persons=_places_of(entities, frozenset({"PERSON"})),
            places=_places_of(entities, PLACES),
            is_lower=text == text.lower(),
        )
        marked = {index for index in range(len(seen.words)) if self._marks(seen, index)}
        _grow(seen, marked)
        _repeat(seen, marked)
        yield from _joined(seen, sorted(marked))

    def _marks(self, seen: _Text, index: int) -> bool:
        match = seen.words[index]
        if match.start() in seen.persons:
            return True
        word = _ENDING.sub("", match[0])
        lower = word.lower()
        if len(word) < _LEAST_LETTERS or lower in ALSO_WORDS or lower in _NEVER:
            return False
        if not word[0].isupper() or (word.isupper() and len(word) <= _LONGEST_ACRONYM):
            return seen.is_lower and lower in self._lexicon.given
        return lower in self._lexicon.given or (
            match.start() not in seen.places and self._is_no_usual_word(word, begins=seen.begins_sentence(index))
        )

    def _is_no_usual_word(self, word: str, *, begins: bool) -> bool:
        """A surname, unless it may be any word that begins a sentence; or a word that the model never met."""
        lower = word.lower()
        if lower in self._lexicon.family:
            return not (begins and lower in self._vocabulary)
        return not word.isupper() and not {word, lower, word.title()} & self._vocabulary


def _places_of(entities: Sequence[Entity], labels: frozenset[str]) -> frozenset[int]:
    return frozenset(place for start, end, label in entities if label in labels for place in range(start, end))


def _grow(seen: _Text, marked: set[int]) -> None:
    """Takes in the neighbours of marked words: initials, capitalised words, particles between two parts."""
    waiting = list(marked)
    while waiting:
        index = waiting.pop()
        for step in (-1, 1):
            other = index + step
            if 0 <= other < len(seen.words) and other not in marked and _belongs(seen, index, step, marked):
                marked.add(other)
                waiting.append(other)


def _belongs(seen: _Text, index: int, step: int, marked: set[int]) -> bool:
    other = index + step
    match = seen.words[other]
    if not seen.touches(min(index, other), max(index, other)) or match.start() in seen.places:
        return False
    word = match[0]
    if len(word) == 1:
        return word.isupper() or seen.is_lower
    if word.lower() in _PARTICLES:
        beyond = other + step
        while 0 <= beyond < len(seen.words) and seen.words[beyond][0].lower() in _PARTICLES:
            beyond += step
        follows = 0 <= beyond < len(seen.words)
        return follows and (beyond in marked or (step > 0 and seen.words[beyond][0][0].isupper()))
    return word[0].isupper() and word.lower() not in _NEVER and not seen.begins_sentence(other)


def _repeat(seen: _Text, marked: set[int]) -> None:
    """Who was named once is meant wherever the word stands again."""
    names = {_ENDING.sub("", seen.words[index][0]).lower() for index in marked}
    names = {name for name in names if len(name) >= _LEAST_LETTERS} - ALSO_WORDS - _PARTICLES - _NEVER
    for index, match in enumerate(seen.words):
        if _ENDING.sub("", match[0]).lower() in names and (match[0][0].isupper() or seen.is_lower):
            marked.add(index)


def _joined(seen: _Text, marked: Sequence[int]) -> Iterator[Span]:
    start = end = -1
    for index in marked:
        word_start, word_end = seen.words[index].span()
        if start >= 0 and _GAP.fullmatch(seen.text[end:word_start]):
            end = word_end
            continue
        if start >= 0:
            yield start, end, "PERSON"
        start, end = word_start, word_end
    if start >= 0:
        yield start, end, "PERSON"
