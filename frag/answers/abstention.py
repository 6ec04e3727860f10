"""Recognises an answer which says that there is none."""

import re

NO_ANSWER = "Not found."
"""What a model is asked and trained to say when its passages hold no answer."""

_MAX_WORDS = 25  # a longer text that begins so goes on to say something
_ALONE = frozenset(("none", "unknown", "n a", "nothing", "no answer", "not available", "unanswerable", "not found"))

_OPENING = r"(?:(?:sorry|unfortunately|answer|i am sorry|im sorry|i apologi[sz]e|but|however) )*"
_SOURCE = (
    r"(?:(?:the|this|these|provided|given|any|our|my|above) )*"
    r"(?:passages?|contexts?|documents?|texts?|information|answer|excerpts?|sources?)"
)
_NOT = (
    r"(?:(?:is|are|was|were|do|does|did|has|have) not(?: been)?|(?:is|are|was|were|do|does|did)nt"
    r"|(?:cannot|can not|could not) be)"
)
_SAID = (
    r"(?:\w+ly )?(?:contain|mention|provide|say|state|specify|include|give|answer|found|known"
    r"|clear|available|present|mentioned|provided|stated|specified|included|given|determined|answered)"
)
_CANNOT = (
    r"(?:do not|dont|did not|didnt|cannot|cant|can not|could not|couldnt"
    r"|(?:am|was) (?:unable|not able) to)"
)
_THERE = rf"(?: (?:in|by|from) {_SOURCE}\b.*)?$"  # "it was not found in the liver" is an answer
_STATEMENTS = (
    rf"not (?:found|available|mentioned|specified|stated|provided){_THERE}",
    r"no (?:relevant |such )?(?:information|answer)\b",
    r"(?:there (?:is|was)|i (?:have|found|see)) no (?:relevant |such )?(?:information|answer|mention)\b",
    rf"(?:i|we) {_CANNOT} (?:know|find|answer|tell|say|determine|provide)\b",
    rf"(?:it|this|that) (?:{_NOT} {_SAID}|is unknown|was unknown){_THERE}",
    rf"{_SOURCE} (?:{_NOT} {_SAID}|is unknown|was unknown)\b(?! to\b)",
)
_SAYS_NOTHING = re.compile(rf"{_OPENING}(?:{'|'.join(_STATEMENTS)})")
_APOSTROPHE = re.compile("['\u2019]")
_NOT_WORD = re.compile(r"[\W_]+")


def says_nothing(text: str) -> bool:
    """Whether `text` has no words, or is a short English statement that the answer was not found."""
    words = _NOT_WORD.sub(" ", _APOSTROPHE.sub("", text.casefold())).split()
    plain = " ".join(words)
    if not words or plain in _ALONE:
        return True
    return len(words) <= _MAX_WORDS and _SAYS_NOTHING.match(plain) is not None
