"""Watches this node's open questions and documents for drift, and tells a number and a flag of it.

Nothing is written to disk. Questions in mode `dp`, sealed questions and collections under `dp` are left out by those
who wire it: no statistic of them exists here.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import structlog

from frag.drift import Answered, DriftMonitor, mmd_p_value
from frag.drift.monitor import strength
from frag.protocols import FloatArray
from frag.settings import DriftSettings
from frag.types import AnswerMode, NodeAnswer
from server.wire.messages import Ask, DriftSign

_log = structlog.get_logger()
_ABSTAINED = frozenset({"no_evidence", "no_answer"})
_MAX_PENDING = 1000
_MAX_REFERENCE = 200

Documents = Callable[[], Mapping[str, FloatArray]]
"""Vectors of the open collections' documents by name, [dimension] each. Blocking."""


class DriftDesk:
    """`note` is called for every open answer; `sign` looks at what was noted since.

    Args:
        settings: Windows and level.
        embed: Texts to unit vectors. Blocking.
        revision: Changes whenever the documents do. Blocking.
        documents: See `Documents`.
        embedder: Names what `embed` and `documents` are of now; vectors of two embedders say nothing of each other.
    """

    def __init__(
        self,
        settings: DriftSettings,
        embed: Callable[[Sequence[str]], FloatArray],
        revision: Callable[[], str],
        documents: Documents,
        embedder: Callable[[], str] = str,
    ) -> None:
        self._settings = settings
        self._embed = embed
        self._revision = revision
        self._documents = documents
        self._embedder = embedder
        self._pending: deque[tuple[str, float | None]] = deque(maxlen=_MAX_PENDING)
        self._turn = threading.Lock()
        self._learnt = threading.Event()
        self._start()

    def _start(self) -> None:
        self._monitor = DriftMonitor(window=self._settings.window, level=self._settings.level)
        self._space = self._embedder()
        self._known: dict[str, FloatArray] | None = None
        self._seen_revision = ""
        self._sign = DriftSign(strength=0.0, is_seen=False)

    def note(self, ask: Ask, answer: NodeAnswer) -> None:
        """Takes an answer to an open question into account. Cheap."""
        if ask.answer_mode is AnswerMode.DP or ask.retrieve_only:
            return
        if answer.text:
            self._pending.append((ask.question, answer.score))
        elif answer.withheld in _ABSTAINED:
            self._pending.append((ask.question, None))

    def settle(self) -> None:
        """A run has learnt from what is here now: what comes next is the new usual. Cheap."""
        self._learnt.set()

    def sign(self) -> DriftSign | None:
        """What is told: how strong the last sign was, and whether one stands. Blocking."""
        if not self._settings.tell:
            self._pending.clear()
            return None
        with self._turn:
            if self._learnt.is_set() or self._space != self._embedder():
                self._learnt.clear()
                self._start()
            self._look()
            return self._sign

    def _look(self) -> None:
        taken = [self._pending.popleft() for _ in range(len(self._pending))]
        vectors = self._embed([question for question, _ in taken]) if taken else ()
        revision = self._revision()
        documents = None if revision == self._seen_revision else dict(self._documents())
        if self._space != self._embedder():
            self._start()  # it changed meanwhile
            return
        self._look_at_questions(vectors, [score for _, score in taken])
        if documents is not None:
            self._seen_revision = revision
            self._look_at_documents(documents)

    def _look_at_questions(self, vectors: Iterable[FloatArray], scores: Sequence[float | None]) -> None:
        for vector, score in zip(vectors, scores, strict=True):
            if reading := self._monitor.add(Answered(vector=vector, score=score)):
                self._found(reading.signal, reading.strength, is_drift=reading.is_drift)

    def _look_at_documents(self, now: dict[str, FloatArray]) -> None:
        """Compares documents that have come with those that were there, a window of them at a time."""
        if self._known is None:
            self._known = now
            return
        new = [name for name in now if name not in self._known]
        if len(new) < self._settings.window or not self._known:
            return
        usual = _some(list(self._known.values()))
        value = mmd_p_value(usual, _some([now[name] for name in new]), seed=len(now))
        self._known = now
        self._found("documents", strength(value), is_drift=value <= self._settings.level)

    def _found(self, signal: str, how_strong: float, *, is_drift: bool) -> None:
        if is_drift:
            _log.info("drift_seen", signal=signal, strength=how_strong)
        self._sign = DriftSign(strength=how_strong, is_seen=self._sign.is_seen or is_drift)


def _some(vectors: Sequence[FloatArray]) -> FloatArray:
    """At most `_MAX_REFERENCE` of them, evenly spread."""
    step = max(1, -(-len(vectors) // _MAX_REFERENCE))
    return np.stack(list(vectors[::step]))
