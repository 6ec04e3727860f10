"""Text as a reader sees it, for comparing and matching, with the way back to the characters it came from.

Copies and identifiers can be disguised by characters that change nothing on screen: zero-width joiners, soft
hyphens, full-width forms, struck-through letters, other dashes and digits. Folding takes all of these away.
It does not undo look-alikes from other alphabets, spelling out, encoding or translation.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

# ASCII without control characters folds one to one, which is what almost all text is.
_INVISIBLE_ASCII = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
_INVISIBLE_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")  # Hangul fillers: letters without a glyph
_MINUS = "\u2212"
_IDEOGRAPHIC_STOP = "\u3002"  # a dot in domain names (RFC 3490)


@dataclass(frozen=True, slots=True)
class Folded:
    """`text[i]` came from the original characters `starts[i]:ends[i]`."""

    text: str = field(repr=False)
    starts: Sequence[int] = field(repr=False)
    ends: Sequence[int] = field(repr=False)

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """Maps the non-empty span `text[start:end]` to the original text."""
        return self.starts[start], self.ends[end - 1]


def fold(text: str) -> Folded:
    """Case-folds and decomposes (NFKD), drops what is invisible, unifies dashes, spaces and digits."""
    if text.isascii() and not _INVISIBLE_ASCII.search(text):
        return Folded(text.lower(), range(len(text)), range(1, len(text) + 1))
    pieces = [_fold_char(char) for char in text]
    origins = [index for index, piece in enumerate(pieces) for _ in piece]
    return Folded("".join(pieces), origins, [index + 1 for index in origins])


@lru_cache(maxsize=65_536)
def _fold_char(char: str) -> str:
    return "".join(_unify(part) for part in unicodedata.normalize("NFKD", char)).casefold()


def _unify(char: str) -> str:
    category = unicodedata.category(char)
    if category[0] == "M" or char in _INVISIBLE_LETTERS or (category[0] == "C" and not char.isspace()):
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category == "Pd" or char == _MINUS:
        return "-"
    if char == _IDEOGRAPHIC_STOP:
        return "."
    return " " if category == "Zs" else char
