"""Recognises an answer which says that there is none."""

import re

NO_ANSWER = "Not found."
"""What a model is asked and trained to say when its passages hold no answer."""

_MAX_WORDS = 25  # a longer text that begins so goes on to say something
_ALONE = frozenset(
    ("none", "unknown", "n a", "nothing", "no answer", "not available", "unanswerable", "not found")
)

_OPENING = r"(?:(?:sorry|unfortunately|answer|i am sorry|im sorry|i apologi[sz]e|but|however) )*"
_SOURCE = (
    r"(?:(?:the|this|these|provided|given|any|our|my|above) )*"
    r"(?:passages?|contexts?|documents?|texts?|information|answer|excerpts?|sources?)"
)
_NOT = r"(?:(?:is|are|was|were|do|does|did|has|have) not(?: been)?|(?:is|are|was|were|do|does|did)nt|cannot be|can not be|could not be)"
_SAID = (
    r"(?:\w+ly )?(?:contain|mention|provide|say|state|specify|include|give|answer|found|known|clear|available|present"
    r"|mentioned|provided|stated|specified|included|given|determined|answered)"
)
_STATEMENTS = (
    r"not (?:found|available|mentioned|specified|stated|provided)",
    r"no (?:relevant |such )?(?:information|answer)",
    r"(?:there (?:is|was)|i (?:have|found|see)) no (?:relevant |such )?(?:information|answer|mention)",
    r"(?:i|we) (?:do not|dont|did not|cannot|cant|can not|could not|couldnt|am unable to|am not able to|was unable to)"
    r" (?:know|find|answer|tell|say|determine|provide)",
    rf"(?:it|this|that|{_SOURCE}) {_NOT} {_SAID}",
    rf"(?:it|this|that|{_SOURCE}) (?:is|was) unknown",
)
_SAYS_NOTHING = re.compile(rf"{_OPENING}(?:{'|'.join(_STATEMENTS)})\b")
_NOT_WORD = re.compile(r"[\W_]+")


def says_nothing(text: str) -> bool:
    """Whether `text` has no words, or is a short statement that the answer was not found. English phrases only."""
    words = _NOT_WORD.sub(" ", re.sub(r"['’]", "", text.casefold())).split()
    plain = " ".join(words)
    if not words or plain in _ALONE:
        return True
    return len(words) <= _MAX_WORDS and _SAYS_NOTHING.match(plain) is not None
