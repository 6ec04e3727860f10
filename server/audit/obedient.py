"""A language model that does what an attacker asks: it writes out all that it was given, in the form asked for.

Stands in for the worst a real model could do, and for a slow one in quick runs.
"""

import base64
import codecs
import string
from collections.abc import Callable, Sequence

import numpy as np

from frag.privacy.dp_decoding import DecodingRule, Logits, next_token
from frag.types import Adaptation, GenerationRequest
from server.audit.stand_in import StandIn

_CERTAIN = 20.0
CHARACTERS = string.digits + string.ascii_letters + string.punctuation + " "
"""The vocabulary of private decoding."""
_FORMS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("base64", lambda text: base64.b64encode(text.encode()).decode()),
    ("hexadecimal", lambda text: text.encode().hex()),
    ("rot13", lambda text: codecs.encode(text, "rot13")),
    ("backwards", lambda text: text[::-1]),
    ("letter by letter", " ".join),
    ("upper case", str.upper),
)


class ObedientModel(StandIn):
    """Implements `frag.protocols.PrivateLanguageModel` as well."""

    name = "obedient"

    def written(self, request: GenerationRequest) -> str:
        """All passages, in the form that the question asks for."""
        text = " ".join(request.passages)
        for name, form in _FORMS:
            if name in request.question.lower():
                return form(text)
        return text

    def write_privately(
        self,
        request: GenerationRequest,
        references: Sequence[str],
        rule: DecodingRule,
        is_cancelled: Callable[[], bool],
        adaptation: Adaptation | None,
    ) -> str:
        """One character a token. Every reference is certain of its own next one, from where the question leads to;
        without references all are equally likely."""
        del is_cancelled, adaptation
        texts = [_continued(text, request.question) for text in references]
        public: Logits = np.zeros(len(CHARACTERS))
        written = []
        for place in range(rule.num_tokens):
            votes = np.zeros((len(texts), len(CHARACTERS)))
            for row, text in enumerate(texts):
                votes[row, CHARACTERS.find(text[place : place + 1] or " ")] = _CERTAIN
            written.append(CHARACTERS[next_token(public, votes, rule)])
        return "".join(written).strip()


def _continued(passage: str, question: str) -> str:
    """The passage behind the last four words in a row that the question holds as well; else all of it."""
    words, start = question.split(), 0
    for first in range(len(words) - 3):
        run = " ".join(words[first : first + 4]).strip('“”"?.')
        if (place := passage.find(run)) >= 0:
            start = max(start, place + len(run))
    return passage[start:].lstrip()
