"""Recognises an answer which says that there is none."""

import re

NO_ANSWER = "Not found."
"""What a model is asked and trained to say when its passages hold no answer."""

_SUBJECT = r"(?:(?:the|this|these|provided|given|any|our|my|supplied|above) )*"
_SOURCE = r"(?:passages?|contexts?|documents?|texts?|information|answer|excerpts?|sources?)"
_SAYS_NOTHING = re.compile(
    r"(?:(?:sorry|unfortunately|answer|i am sorry|im sorry) )*(?:"
    r"(?:it |this |that |there )?(?:is |was |are )?(?:not found|unknown|unanswerable|none|no answer|not available|n a)\b"
    r"|(?:i|we) (?:do not|dont|did not|didnt|cannot|cant|could not|couldnt|am unable to|am not able to|was unable to)"
    r" (?:know|find|answer|tell|say|determine|provide)"
    rf"|(?:there is |there was |i have )?no (?:relevant |such )?{_SOURCE}\b(?! \w+ (?:in|by|of)\b)"
    rf"|{_SUBJECT}{_SOURCE} (?:do|does|did|is|are|was) ?(?:not|nt) (?:\w+ )?(?:contain|mention|provide|say|state|specify"
    r"|include|give|found|available|answer|provided|mentioned|stated|specified|given)"
    rf"|{_SUBJECT}{_SOURCE} (?:doesnt|dont|didnt|isnt|arent|wasnt) "
    r"|(?:it|this|that) (?:is not|isnt|cannot be|can not be|was not) (?:mentioned|stated|specified|provided|given|known"
    r"|determined|answered|found|clear)"
    r")"
)
_NOTHING_ALONE = frozenset({"not found", "unknown", "none", "no answer", "n a", "not available", "nothing", "unanswerable"})
_NOT_WORD = re.compile(r"[^\w]+|_")
_LONG_WORDS = 25


def says_nothing(text: str) -> bool:
    """Whether `text` has no words, or is a short statement that the answer was not found. English phrases only."""
    words = _NOT_WORD.sub(" ", re.sub(r"['’]", "", text.casefold())).split()
    plain = " ".join(words)
    if not words or plain in _NOTHING_ALONE:
        return True
    return len(words) <= _LONG_WORDS and _SAYS_NOTHING.match(plain) is not None
