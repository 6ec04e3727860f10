"""What a node measures of its questions. It tells of documents and budgets, so it is its operator's alone.

Under mode `dp` no stage is measured and no span is made: how long a search or a decoding took tells of the units that
took part. What is counted is the question, and how long it took as a whole, which the coordinator sees anyway.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from frag.errors import FragError
from frag.types import AnswerMode, NodeAnswer
from server.telemetry.labels import ERROR_CODES, withheld_label
from server.telemetry.metrics import BUCKETS_S, exposition, new_registry
from server.telemetry.observation import Note, observed, unobserved
from server.telemetry.trace_context import TraceContext
from server.telemetry.tracing import NoTracing, Tracing, now_ns

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class NodeWatch:
    """Metrics of one node, and the node's part of traces."""

    def __init__(self, tracing: Tracing | None = None) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        self._tracing = tracing or NoTracing()
        self.registry = new_registry()
        shared: dict[str, Any] = {"registry": self.registry}
        self._questions = Counter(
            "frag_node_questions", "Questions to this node, by mode and how they ended.", ["mode", "outcome"], **shared
        )
        self._seconds = Histogram(
            "frag_node_question_seconds", "A question at this node.", ["mode"], buckets=BUCKETS_S, **shared
        )
        self._stages = Histogram(
            "frag_node_stage_seconds", "Parts of a question, not of mode dp.", ["stage"], buckets=BUCKETS_S, **shared
        )
        self._withheld = Counter("frag_node_withheld", "Answers withheld here, by reason.", ["reason"], **shared)
        self._bytes = Counter("frag_node_wire_bytes", "Bytes to and from the coordinator.", ["direction"], **shared)
        self._rounds = Counter("frag_node_rounds", "Training requests, by outcome.", ["outcome"], **shared)
        self._connected = Gauge("frag_node_connected", "1 while the coordinator is connected.", **shared)
        self._documents = Gauge("frag_node_documents", "Documents indexed, outside mode dp.", **shared)
        self._epsilon = Gauge(
            "frag_node_epsilon_spent", "ε that the unit which paid most has spent.", ["collection"], **shared
        )
        self._budget = Gauge("frag_node_epsilon_budget", "ε of a unit for all answers.", **shared)

    @contextmanager
    def question(self, mode: str, traceparent: str = "") -> Iterator[Note]:
        """Observes one question; `mode` is an answer mode or `sealed`, `traceparent` comes from the coordinator."""
        started, outcome, note = now_ns(), "cancelled", Note()
        try:
            with self._observed(mode, traceparent) as note:
                try:
                    yield note
                    outcome = str(note.attributes.get("frag.outcome", "answered"))
                except FragError as error:
                    outcome = error.code if error.code in ERROR_CODES else "other"
                    raise
                except TimeoutError:
                    outcome = "deadline_exceeded"
                    raise
                finally:
                    note.attributes |= {"frag.mode": mode, "frag.outcome": outcome}
        finally:
            self._questions.labels(mode, outcome).inc()
            self._seconds.labels(mode).observe(note.seconds or (now_ns() - started) / 1e9)

    def _observed(self, mode: str, traceparent: str) -> "AbstractContextManager[Note]":
        if mode in {AnswerMode.DP, "sealed"}:
            return _uncharted()
        parent = TraceContext.parse(traceparent)
        return observed("frag.node.answer", self._tracing, self._stage, parent, prefix="frag.node.")

    def answered(self, note: Note, answer: NodeAnswer) -> None:
        """Notes whether something was released, and why not."""
        note.attributes["frag.outcome"] = "withheld" if answer.withheld else "answered"
        if answer.withheld:
            self._withheld.labels(withheld_label(answer.withheld)).inc()

    def _stage(self, name: str, seconds: float) -> None:
        self._stages.labels(name).observe(seconds)

    def on_bytes(self, direction: str, number: int) -> None:
        """Counts a message; `direction` is `sent` or `received`."""
        self._bytes.labels(direction).inc(number)

    def on_state(self, *, connected: bool) -> None:
        """The connection came or went."""
        self._connected.set(connected)

    @contextmanager
    def training(self) -> Iterator[None]:
        """Counts a training request by its end."""
        outcome = "failed"
        try:
            yield
            outcome = "done"
        finally:
            self._rounds.labels(outcome).inc()

    def set_documents(self, number: int) -> None:
        """How many documents are indexed."""
        self._documents.set(number)

    def set_spending(self, budget: float, spent: Mapping[str, float]) -> None:
        """ε of a unit's budget, and ε spent by collection."""
        self._budget.set(budget)
        for collection, epsilon in spent.items():
            self._epsilon.labels(collection).set(epsilon)

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return exposition(self.registry)


@contextmanager
def _uncharted() -> Iterator[Note]:
    with nullcontext(Note()) as note, unobserved():
        yield note
