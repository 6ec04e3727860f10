"""Spans of personal data, and their replacement by typed, consistent placeholders such as `<PERSON_1>`."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from frag.privacy.entities import ENTITY_TYPES
from frag.privacy.folding import fold

Span = tuple[int, int, str]
"""(start, end, TYPE) in characters, end exclusive."""

PLACEHOLDER = re.compile(rf"<({'|'.join(ENTITY_TYPES)})_(Q?\d{{1,4}})>", re.IGNORECASE)
"""With Q those of a question (`questions`), without it those of a text."""


def resolve_overlaps(spans: Iterable[Span]) -> list[Span]:
    """Joins overlapping spans, so that none leaves a rest behind; the result is in order and disjoint.

    The joined span has the type of its longest member; of equals the first in the text, then in the alphabet.
    """
    groups: list[list[Span]] = []
    end = -1
    for span in sorted(set(spans)):
        if groups and span[0] < end:
            groups[-1].append(span)
        else:
            groups.append([span])
        end = max(end, span[1])
    return [(group[0][0], max(span[1] for span in group), _leading_type(group)) for group in groups]


def redact(text: str, spans: Sequence[Span]) -> tuple[str, Mapping[str, int]]:
    """Replaces every span by its placeholder; equal values (case, spacing and dashes aside) share one.

    Placeholders that the text has already keep their meaning: new ones are numbered after them.

    Returns:
        The new text, and how many spans of each type were replaced.
    """
    spans = resolve_overlaps(spans)
    labels = placeholders(text, spans)
    return replace(text, [(start, end) for start, end, _ in spans], labels), Counter(kind for *_, kind in spans)


def placeholders(text: str, spans: Sequence[Span]) -> list[str]:
    """The placeholder of every span, numbered per type in the order of first appearance."""
    taken = Counter[str]()
    for match in PLACEHOLDER.finditer(text):
        if match[2].isdigit():
            taken[match[1].upper()] = max(taken[match[1].upper()], int(match[2]))
    numbers: dict[tuple[str, str], int] = {}
    for start, end, kind in spans:
        key = (kind, _normal_value(text[start:end]))
        if key not in numbers:
            taken[kind] += 1
            numbers[key] = taken[kind]
    return [f"<{kind}_{numbers[kind, _normal_value(text[start:end])]}>" for start, end, kind in spans]


def replace(text: str, spans: Sequence[tuple[int, int]], replacements: Sequence[str]) -> str:
    """Puts `replacements[i]` in the place of `spans[i]`; the spans are disjoint and in order."""
    pieces: list[str] = []
    done = 0
    for (start, end), replacement in zip(spans, replacements, strict=True):
        pieces += [text[done:start], replacement]
        done = end
    return "".join([*pieces, text[done:]])


def _leading_type(group: Sequence[Span]) -> str:
    return min(group, key=lambda span: (span[0] - span[1], span[0], span[2]))[2]


def _normal_value(value: str) -> str:
    folded = fold(value).text
    return "".join(char for char in folded if char.isalnum()) or folded
