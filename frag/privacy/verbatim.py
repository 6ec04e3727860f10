"""The verbatim guard: no run of N or more word tokens of a passage leaves a node.

Words are compared folded (see `folding`), over punctuation and line breaks. The guard stops copying, not
telling: paraphrase, translation, look-alike letters, or a foreign word put in after every N - 1 are beyond
it, and successive questions can draw out successive parts.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from frag.privacy.folding import fold
from frag.privacy.redaction import PLACEHOLDER, replace

ELISION = "[…]"

# Scripts that put no spaces between words: every character is a token, or a sentence would be a single one.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf"  # Thai, Lao, Myanmar, Khmer, Tai
    "\u3005-\u3007\u3021-\u3029\u3040-\u312f\u31f0-\u31ff"  # kana, bopomofo
    "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_TOKEN = re.compile(rf"(?P<placeholder>{PLACEHOLDER.pattern})|[{_UNSPACED}]|[^\W_{_UNSPACED}]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Token:
    """A folded word with its place in the original text. Placeholders of one type are equal."""

    word: str = field(repr=False)
    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """The word tokens of `text` in order. The elision marker holds none."""
    folded = fold(text)
    return [Token(_word(match), *folded.original_span(*match.span())) for match in _TOKEN.finditer(folded.text)]


def _word(match: re.Match[str]) -> str:
    return f"<{match[2]}>" if match["placeholder"] else match[0]


class VerbatimGuard:
    """Finds and cuts what a text copies from a set of passages.

    Args:
        passages: What may not be copied: the passages as stored and, where it differs, as the model saw them.
        limit_tokens: N; the shortest run of word tokens that counts as a copy, at least 2.
    """

    def __init__(self, passages: Sequence[str], limit_tokens: int) -> None:
        if limit_tokens < 2:
            raise ValueError(f"limit_tokens must be at least 2, not {limit_tokens}")
        self._limit = limit_tokens
        self._shingles = {shingle for passage in passages for shingle in self._shingles_of(_words(passage))}

    def copies(self, text: str) -> bool:
        """Whether any run of N tokens of a passage stands in `text`, elision markers left out."""
        return not self._shingles.isdisjoint(self._shingles_of(_words(text)))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The character spans to cut, in order and disjoint: every copied run but for its first N - 1 tokens.

        Where a cut would put together a new copied run out of what stood before and behind it, the cut goes
        on.
        """
        tokens = tokenize(text)
        spans: list[tuple[int, int]] = []
        previous = -2
        for index in self._dropped([token.word for token in tokens]):
            if index == previous + 1:
                spans[-1] = (spans[-1][0], tokens[index].end)
            else:
                spans.append((tokens[index].start, tokens[index].end))
            previous = index
        return spans

    def cut(self, text: str) -> str:
        """Replaces the spans by the elision marker until nothing is copied; `copies(cut(text))` is False."""
        while spans := self.spans(text):
            text = replace(text, spans, [ELISION] * len(spans))
        return text

    def _dropped(self, words: Sequence[str]) -> Iterator[int]:
        kept: list[str] = []
        in_excess = self._excess(words)
        for index, word in enumerate(words):
            if in_excess[index] or (*kept[-(self._limit - 1) :], word) in self._shingles:
                yield index
            else:
                kept.append(word)

    def _excess(self, words: Sequence[str]) -> list[bool]:
        """Marks the last token of every copied N-gram, so each copied run but for its first N - 1 tokens."""
        excess = [False] * len(words)
        for start, shingle in enumerate(self._shingles_of(words)):
            excess[start + self._limit - 1] = shingle in self._shingles
        return excess

    def _shingles_of(self, words: Sequence[str]) -> Iterator[tuple[str, ...]]:
        return (tuple(words[start : start + self._limit]) for start in range(len(words) - self._limit + 1))


def _words(text: str) -> list[str]:
    return [token.word for token in tokenize(text)]
