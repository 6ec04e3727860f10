"""Masks questions as the settings say; loads the model that finds names only where it is asked for."""

from threading import Lock

import msgspec

from frag.errors import ModelError
from frag.models import Kind, locate
from frag.policy_settings import DEFAULT_ENTITY_TYPES
from frag.privacy.pii import PresidioRedactor
from frag.privacy.questions import QuestionPatterns, ScrubbedQuestion, scrub_question
from frag.protocols import Redactor
from frag.settings import QuestionScrub


class QuestionView(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to the question before it was sent. `scrub` is what was applied: `patterns` where the settings say
    `full` and the model is missing."""

    scrub: QuestionScrub
    masked: dict[str, int]


class QuestionScrubber:
    """Blocking and thread-safe."""

    def __init__(self, level: QuestionScrub, ner: str) -> None:
        self._level: QuestionScrub = level
        self._ner = ner
        self._patterns = QuestionPatterns()
        self._redactor: Redactor | None = None
        self._lock = Lock()

    def scrub(self, question: str, *, wanted: bool = True) -> tuple[ScrubbedQuestion, QuestionView]:
        """What to send, and what to say about it."""
        if not wanted or self._level == "off":
            return ScrubbedQuestion(question, {}, {}), QuestionView(scrub="off", masked={})
        redactor = self._loaded()
        scrubbed = scrub_question(question, redactor)
        level: QuestionScrub = "patterns" if redactor is self._patterns else "full"
        return scrubbed, QuestionView(scrub=level, masked=dict(scrubbed.masked))

    def _loaded(self) -> Redactor:
        with self._lock:
            if self._redactor is None:
                self._redactor = self._load()
            return self._redactor

    def _load(self) -> Redactor:
        if self._level == "patterns":
            return self._patterns
        try:
            return PresidioRedactor(locate(self._ner, Kind.NER), DEFAULT_ENTITY_TYPES)
        except ModelError:
            return self._patterns
