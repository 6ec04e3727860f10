"""What the coordinator measures of questions and jobs. Labels are bounded: modes, stages, codes, never ids or text."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from frag.errors import FragError
from frag.types import AnswerMode
from server.telemetry.labels import ERROR_CODES, failed_label, withheld_label
from server.telemetry.metrics import BUCKETS_S, exposition, new_registry
from server.telemetry.observation import Note, asker_context, observed
from server.telemetry.tracing import NoTracing, Tracing

if TYPE_CHECKING:
    from server.coordinator.answer_views import QueryResponse


class Counted(Protocol):
    """Who is enrolled and who is connected."""

    enrolled: set[str]

    def num_connected(self) -> int: ...


class CoordinatorWatch:
    """Metrics of one coordinator, and the traces of its questions."""

    def __init__(self, tracing: Tracing | None = None) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        self._tracing = tracing or NoTracing()
        self.registry = new_registry()
        shared: dict[str, Any] = {"registry": self.registry}
        self._questions = Counter("frag_questions", "Questions, by mode and end.", ["mode", "outcome"], **shared)
        self._seconds = Histogram("frag_question_seconds", "A whole question.", ["mode"], buckets=BUCKETS_S, **shared)
        self._stages = Histogram(
            "frag_question_stage_seconds", "Parts of a question.", ["stage"], buckets=BUCKETS_S, **shared
        )
        self._replies = Counter("frag_node_replies", "What asked nodes said, by outcome.", ["outcome"], **shared)
        self._withheld = Counter("frag_withheld", "Answers that nodes withheld, by reason.", ["reason"], **shared)
        self._bytes = Counter("frag_wire_bytes", "Bytes of messages to and from nodes.", ["direction"], **shared)
        self._jobs = Counter("frag_jobs", "Training jobs that ended, by outcome.", ["outcome"], **shared)
        self._rounds = Counter("frag_rounds", "Rounds, by outcome.", ["outcome"], **shared)
        self._round_seconds = Histogram(
            "frag_round_seconds", "A committed round.", buckets=(1, 5, 15, 30, 60, 120, 300, 900, 3600), **shared
        )
        self._update_bytes = Counter("frag_update_bytes", "Bytes of weights and updates.", ["direction"], **shared)
        self._connected = Gauge("frag_nodes_connected", "Nodes that could be asked now.", **shared)
        self._enrolled = Gauge("frag_nodes_enrolled", "Nodes on the list.", **shared)

    def follow(self, nodes: Counted) -> None:
        """Reads the numbers of nodes whenever metrics are scraped."""
        self._connected.set_function(nodes.num_connected)
        self._enrolled.set_function(lambda: len(nodes.enrolled))

    @contextmanager
    def question(self, mode: AnswerMode) -> Iterator[Note]:
        """Observes a question from here to its end, whatever the end is."""
        outcome = "cancelled"
        note: Note | None = None
        try:
            with observed("frag.question", self._tracing, self._stage, asker_context(), prefix="frag.") as note:
                note.attributes["frag.mode"] = str(mode)
                try:
                    yield note
                    outcome = str(note.attributes.setdefault("frag.outcome", "answered"))
                except FragError as error:
                    outcome = error.code if error.code in ERROR_CODES else "other"
                    raise
                finally:
                    note.attributes["frag.outcome"] = outcome
        finally:
            self._questions.labels(str(mode), outcome).inc()
            if note is not None:
                self._seconds.labels(str(mode)).observe(note.seconds)

    def answered(self, note: Note, response: "QueryResponse") -> None:
        """Counts what nodes said."""
        note.attributes["frag.query_id"] = response.query_id
        note.attributes["frag.outcome"] = "answered" if response.answer is not None else "no_answer"
        if response.answer is None and response.answered and not any(view.answer for view in response.answered):
            note.attributes["frag.outcome"] = "retrieved"
        self._replies.labels("answered").inc(len(response.answered))
        for withheld in response.withheld:
            self._replies.labels("withheld").inc()
            self._withheld.labels(withheld_label(withheld.reason)).inc()
        for failed in response.failed:
            self._replies.labels(failed_label(failed.code)).inc()

    def _stage(self, name: str, seconds: float) -> None:
        self._stages.labels(name).observe(seconds)

    def on_bytes(self, direction: str, number: int) -> None:
        """Counts a message; `direction` is `sent` or `received`."""
        self._bytes.labels(direction).inc(number)

    def on_job_event(self, name: str, content: Mapping[str, Any]) -> None:
        """Counts what jobs say of themselves."""
        if name in {"done", "failed", "cancelled"}:
            self._jobs.labels(name).inc()
        elif name in {"round_repeated", "round_lost"}:
            self._rounds.labels(name.removeprefix("round_")).inc()
        elif name == "round_done":
            self._rounds.labels("committed").inc()
            self._round_seconds.observe(float(content.get("seconds", 0)))
            self._update_bytes.labels("sent").inc(int(content.get("bytes_out", 0)))
            self._update_bytes.labels("received").inc(int(content.get("bytes_in", 0)))

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return exposition(self.registry)
