"""Makes a stranger's text safe to put before a language model: without what models take for structure or orders."""

import re
import unicodedata

from frag.answers.orders import without_orders

_STRUCTURE = re.compile(
    r"<\||\|>|<</?|>>|</?s>|\[/?INST\]|`{3,}|-{3,}|={3,}|#{2,}"  # chat templates, fences, headings, rules
    r"|(?m:^\s*(?:system|assistant|user|human|instructions?|question|answer|passages?|context)\s*\d*\s*:)",
    re.IGNORECASE,
)


def neutralise(text: str, limit_chars: int) -> str:
    """One line of at most `limit_chars` characters, without control characters, chat markers and role names.

    It takes away structure, not persuasion: a sentence that gives an order still does. Placeholders stay.
    """
    visible = "".join(_visible(char) for char in text[: 4 * limit_chars])
    return _shorten(" ".join(_unstructured(visible).split()), limit_chars)


def as_data(text: str, question: str) -> str:
    """A passage as the language model may read it: lines kept, without structure of prompts and without orders.

    Args:
        text: Of a document.
        question: The asker's; see `without_orders`.
    """
    return without_orders(_unstructured(text), question)


def _unstructured(text: str) -> str:
    while (plain := _STRUCTURE.sub(" ", text)) != text:
        text = plain
    return text


def _visible(char: str) -> str:
    category = unicodedata.category(char)
    if category[0] == "C":
        return "\n" if char.isspace() else ""
    return "\n" if category in ("Zl", "Zp") else char


def _shorten(text: str, limit_chars: int) -> str:
    if len(text) <= limit_chars:
        return text
    cut = text[: limit_chars - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut) + "…"
