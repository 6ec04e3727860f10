"""The node's desk for feedback: remembers what was asked, takes what is said of it, and has the policy decide."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from frag.errors import BadRequestError, FragError, SealingError
from frag.feedback import open_remark
from frag.types import NodeAnswer
from server.node.feedback.accepting import Acceptance, Decided, settle
from server.node.feedback.quarantine import Held, Quarantine
from server.node.feedback.questions import Asked, Passage, Questions, digest_of
from server.node.found import Found
from server.node.parts import MayStop
from server.wire.messages import Ask, Feedback

_SWEEP_S = 3600.0
_log = structlog.get_logger()


@dataclass(kw_only=True)
class FeedbackDesk:
    """Use as an async context manager: inside, old questions are forgotten and the policy works.

    Args:
        node_id: Whom envelopes are for.
        keys: HPKE keys in force, newest first.
        questions: What was asked.
        quarantine: What was said of it.
        acceptance: What becomes of it.
        gate: While release is stopped, nothing is taken.
        clock: Unix seconds.
    """

    node_id: str
    keys: Callable[[], list[X25519PrivateKey]]
    questions: Questions
    quarantine: Quarantine
    acceptance: Acceptance
    gate: MayStop | None = None
    clock: Callable[[], float] = time.time
    _due: asyncio.Event = field(default_factory=asyncio.Event)
    _askers: dict[str, bytes] = field(default_factory=dict)
    _sweep_at: float = 0.0
    _working: "asyncio.Task[None] | None" = None
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="feedback"))
    _deciding: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="deciding"))

    async def __aenter__(self) -> Self:
        self._due.set()
        self._working = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        for thread in (self._thread, self._deciding):
            await asyncio.to_thread(thread.shutdown)
        self.questions.close()
        self.quarantine.close()

    @contextlib.contextmanager
    def asked_by(self, query_id: str, asker: bytes) -> Iterator[None]:
        """While a sealed question is answered: only its asker (Ed25519, 32 bytes) may say something of the answer."""
        self._askers.setdefault(query_id, asker)
        try:
            yield
        finally:
            self._askers.pop(query_id, None)

    async def remember(self, ask: Ask, answer: NodeAnswer, shown: Sequence[Found]) -> None:
        """Keeps the question of an answer that is about to leave. What cannot be kept costs the feedback alone."""
        if not ask.query_id or not answer.text:
            return
        asker = self._askers.get(ask.query_id, b"")
        passages = tuple(Passage(item.collection, item.hit.document_id, digest_of(item.hit.text)) for item in shown)
        asked = Asked(ask.question, passages, answer.prompt_version, asker)
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self.questions.remember, bytes.fromhex(ask.query_id), asked)
        except sqlite3.Error as error:
            _log.warning("question_not_kept", error=type(error).__name__)

    async def take(self, feedback: Feedback) -> None:
        """Feedback is durable when it returns.

        Raises:
            NotFoundError, FeedbackExpiredError: This node did not answer the question, or keeps it no longer.
            SealingError: The envelope is not from whoever may say something, or does not open.
            RateLimitedError, ConflictError, NotReadyError: As `Quarantine.add` says.
        """
        if self.gate is not None and self.gate.stopped:
            raise SealingError("Release is stopped.", code="release_stopped")
        await asyncio.get_running_loop().run_in_executor(self._thread, self._take, feedback)
        self._due.set()

    def _take(self, feedback: Feedback) -> None:
        asked = self.questions.recall(feedback.query_id)
        remark = open_remark(
            feedback.envelope, self.keys(), node_id=self.node_id, query_id=feedback.query_id, clock=self.clock
        )
        if asked.asker and remark.author != asked.asker:
            raise SealingError("Only who asked a sealed question may say something of it.", code="not_permitted")
        if "\0" in remark.correction:
            raise BadRequestError("A correction holds a zero, so it is no text.")
        self.quarantine.add(feedback.query_id, feedback.key, feedback.envelope, asked, remark)

    async def listed(self, limit: int) -> list[Held]:
        """Newest first."""
        return await asyncio.to_thread(self.quarantine.held, None, "", limit)

    async def accept(self, ids: Sequence[int], key: str = "") -> Decided:
        """Makes examples of corrections, or of all that wait of one key."""
        return await self._decide(self.acceptance.accept, ids, key)

    async def reject(self, ids: Sequence[int], key: str = "") -> Decided:
        """Rejects corrections, or all of one key; what was accepted of them leaves the data set again."""
        return await self._decide(self.acceptance.reject, ids, key)

    async def _decide(self, how: Callable[[Sequence[int]], Decided], ids: Sequence[int], key: str) -> Decided:
        def work() -> Decided:
            return how(self.acceptance.of_key(key) if key else ids)

        return await asyncio.get_running_loop().run_in_executor(self._deciding, work)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(_SWEEP_S):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()
            await loop.run_in_executor(self._deciding, self._look)

    def _look(self) -> None:
        if time.monotonic() >= self._sweep_at:
            self._sweep()
            self._sweep_at = time.monotonic() + _SWEEP_S
        settle(self.acceptance)

    def _sweep(self) -> None:
        try:
            self.questions.sweep()
            self.quarantine.sweep()
            if gone := self.acceptance.without_documents():
                self.quarantine.decide(gone, "rejected", "passages_gone")
        except (sqlite3.Error, FragError) as error:
            _log.warning("feedback_not_swept", error=type(error).__name__)
