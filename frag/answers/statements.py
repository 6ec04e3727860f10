"""Cuts an answer into statements, which are weighed one by one."""

import re

_ABBREVIATIONS = frozenset(
    """
    al approx art ca cf ch co corp dr e.g ed eq etc fig gen gov i.e inc jr lt ltd messrs mr mrs ms mt no nos p pp prof
    rev sec sen sgt sr st vol vs
    """.split()  # noqa: SIM905 (a list of words reads better as words)
)
_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s)|[;\n]+")
_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,2}[.)]|\(?[a-z]\))\s+")
_LAST_WORD = re.compile(r"(\S+)$")


def statements(text: str) -> list[str]:
    """Sentences, items of lists, and what semicolons divide, in order, without bullets; never blank.

    A point ends a sentence only where white space and no lower-case letter follows, and not after abbreviations,
    initials or numbers of a list.
    """
    found = []
    start = 0
    for match in _END.finditer(text):
        if _ends_here(text[start : match.start()], match[0], text[match.end() :]):
            found.append(text[start : match.end()])
            start = match.end()
    found.append(text[start:])
    cleaned = (_BULLET.sub("", part).strip().rstrip(";").strip() for part in found)
    return [part for part in cleaned if any(char.isalnum() for char in part)]


def _ends_here(before: str, mark: str, after: str) -> bool:
    if mark[0] in ";\n!?":
        return True
    follows = after.lstrip()
    word = _LAST_WORD.search(before)
    last = word[1].lstrip("(\"'“").lower() if word else ""
    if follows[:1].islower() or last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha()):
        return False
    return not (last.isdigit() and not before[: len(before) - len(last)].strip())
