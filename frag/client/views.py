"""What a coordinator answers, typed. Members that a newer coordinator adds are left out, not refused.

`repr` shows sizes, never text; `_repr_html_` shows the text, escaped, to whoever asked in a notebook.
"""

from typing import Any

import msgspec

from frag.client import html
from frag.wording import why_nothing


class Citation(msgspec.Struct, frozen=True):
    """A pseudonym of a document at its node, and the score of its best passage in [-1, 1]; see `Answer.scores`."""

    document: str
    score: float


class NodeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one node released. `epsilon` and `delta` are None where nothing is claimed."""

    node: str
    answer: str
    contributed: bool
    answer_mode: str
    score: float
    token_logprob: float = 0.0
    prompt_version: str = ""
    redactions: dict[str, int] = {}
    citations: list[Citation] = []
    timings: dict[str, float] = {}
    epsilon: float | None = None
    delta: float | None = None
    promise: str = ""
    embedder: str = ""

    def __repr__(self) -> str:
        return f"NodeAnswer({self.node}, {len(self.answer)} chars)"


class Failed(msgspec.Struct, frozen=True):
    node: str
    code: str


class Withheld(msgspec.Struct, frozen=True):
    node: str
    reason: str


class Question(msgspec.Struct, frozen=True):
    """What was masked before nodes saw the question, by type."""

    scrub: str = "off"
    masked: dict[str, int] = {}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The merged answer; `text` is None when every node withheld its own, or nothing found enough support."""

    query_id: str
    text: str | None = msgspec.field(name="answer")
    mode: str = msgspec.field(name="answer_mode")
    aggregation: str
    answered: list[NodeAnswer]
    withheld: list[Withheld]
    failed: list[Failed]
    not_asked: list[str] = []
    question: Question = Question()
    timings: dict[str, float] = {}
    promise: str = ""
    note: str = ""
    scores: str = "cosine"

    def __repr__(self) -> str:
        return f"Answer({len(self.text or '')} chars from {len(self.answered)} nodes)"

    def __str__(self) -> str:
        return self.text or ""

    def _repr_html_(self) -> str:
        rows = [
            [view.node, "contributed" if view.contributed else "answered", f"{view.score:.2f}", _sources(view)]
            for view in self.answered
        ]
        rows += [[item.node, f"withheld: {item.reason}", "", ""] for item in self.withheld]
        rows += [[item.node, f"failed: {item.code}", "", ""] for item in self.failed]
        return html.block(
            html.text(self.text or why_nothing([item.reason for item in self.withheld], len(self.failed)), strong=True),
            html.text(self.note),
            html.table(["node", "outcome", "score", "sources"], rows),
            html.text(f"Mode {self.mode}: {self.promise}", small=True),
        )


def _sources(view: NodeAnswer) -> str:
    return ", ".join(citation.document for citation in view.citations[:3])


class FeedbackTaken(msgspec.Struct, frozen=True):
    """Nodes that have the feedback, and why others have it not."""

    taken: list[str]
    failed: list[Failed] = []


class NodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An enrolled node. What only a connected one tells is None while it is away.

    `withholds` says why it lets nothing out now, such as `release_stopped`; an empty `prompt_version` is the model as
    it is.
    """

    node: str
    connected: bool
    version: str | None = None
    answer_modes: list[str] = []
    embedder: str | None = None
    num_documents: int | None = None
    datasets: list[Any] = []
    has_profile: bool = False
    personal_gain: float | None = None
    sealing_key: Any = None
    prompt_version: str | None = None
    withholds: str = ""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One committed round: who contributed, what was measured, bytes and seconds."""

    round: int
    nodes: list[str]
    metrics: dict[str, float] = {}
    remarks: dict[str, str] = {}
    bytes_out: int = 0
    bytes_in: int = 0
    seconds: float = 0.0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A training job. `rounds`, `versions` and `privacy` come with a single job, not with the list of all."""

    job_id: str
    state: str
    num_rounds: int = 0
    error: str = ""
    created_at: str = ""
    job: dict[str, Any] = {}
    waiting: str = ""
    rounds: list[Round] = []
    versions: list[str] = []
    privacy: str = ""

    def __repr__(self) -> str:
        return f"Job({self.job_id}, {self.state}, round {len(self.rounds)} of {self.num_rounds})"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state in {"done", "failed", "cancelled"}

    def losses(self) -> list[float]:
        """Mean training loss of each round that measured one."""
        return [entry.metrics["loss"] for entry in self.rounds if "loss" in entry.metrics]

    def _repr_html_(self) -> str:
        rows = [
            [
                str(entry.round),
                f"{entry.metrics['loss']:.3f}" if "loss" in entry.metrics else "",
                ", ".join(entry.nodes),
            ]
            for entry in self.rounds
        ]
        state = f"{self.job_id}: {self.state}, round {len(self.rounds)} of {self.num_rounds}"
        return html.block(
            html.text(state, strong=True),
            html.text(self.error or self.waiting),
            html.curve(self.losses()),
            html.table(["round", "loss", "nodes"], rows),
            html.text(self.privacy, small=True),
            html.text(f"versions: {', '.join(self.versions)}" if self.versions else ""),
        )


class StandingJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that starts runs by itself. `run` is the job under way, `versions` those of its runs that were promoted."""

    job_id: str
    state: str
    standing: bool = True
    num_runs: int = 0
    run: str = ""
    waiting: str = ""
    created_at: str = ""
    job: dict[str, Any] = {}
    versions: list[str] = []
    rounds: list[Any] = []


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a trained or written prompt."""

    version: str
    method: str
    place: str = ""
    live: bool = False
    job_id: str | None = None
    num_bytes: int = 0
    metrics: dict[str, float] = {}
    created_at: str = ""
