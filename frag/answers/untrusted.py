"""Makes a peer's text safe to put before a language model: without what models take for structure."""

import re
import unicodedata

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
    while (plain := _STRUCTURE.sub(" ", visible)) != visible:
        visible = plain
    return _shorten(" ".join(visible.split()), limit_chars)


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
