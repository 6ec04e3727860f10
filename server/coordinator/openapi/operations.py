"""What each route takes and gives, by method and path. A route that is missing here is still in the document."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from frag.client.views import Job, NodeInfo, Prompt, StandingJob
from server.coordinator.answer_views import QueryResponse
from server.coordinator.enrollment import EnrollRequest, IdentityProof, IdentityRequest
from server.coordinator.feedback import FeedbackRequest, FeedbackResponse
from server.coordinator.keyword_response import KeywordResponse
from server.coordinator.openai.chat import ChatCompletion, ChatRequest
from server.coordinator.openai.models import ModelList, ModelView
from server.coordinator.openai.responses import ResponsesRequest
from server.coordinator.query import QueryRequest
from server.coordinator.routes import TokenRequest
from server.coordinator.standing.timeline import Timeline
from server.coordinator.training.versions import NewTemplate
from server.sealed.relay import SealedRequest, SealedResponse

JOB_SETTINGS = "JobSettings"
"""Stands for `prompt_tuning.job.JobSettings`, which brings a schema of its own."""


class Health(msgspec.Struct):
    status: str
    version: str


class Readiness(msgspec.Struct):
    status: str
    database: str
    nodes_connected: int


class NodeList(msgspec.Struct):
    nodes: list[NodeInfo]


class Enrolled(msgspec.Struct):
    node: str


class Token(msgspec.Struct):
    """`token` is the line for `frag node enroll`."""

    token: str


class JobCreated(msgspec.Struct):
    job_id: str
    state: str


class JobList(msgspec.Struct):
    jobs: list[Job]
    standing: list[StandingJob] = []


class PromptList(msgspec.Struct):
    """`live` is empty for the model as it is."""

    live: str
    prompts: list[Prompt]


class TemplateAdded(msgspec.Struct):
    version: str


class Promotion(msgspec.Struct):
    """What is live now, and what each node said."""

    live: str
    nodes: dict[str, str]


class Problem(msgspec.Struct):
    """RFC 9457. `code` is stable, `mend` says what to do; some codes bring further members."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    mend: str


class OpenAIErrorContent(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str


class WhoAmI(msgspec.Struct):
    label: str
    scopes: list[str]
    version: str
    answer_modes: list[str]
    default_aggregation: str
    default_deadline_s: float


class Activity(msgspec.Struct):
    """Replies by node since `since`, in counts."""

    since: str
    nodes: list[dict[str, Any]]


class PromotionEntry(msgspec.Struct):
    """An empty version is the model as it is."""

    version: str
    at: str


class Promotions(msgspec.Struct):
    promotions: list[PromotionEntry]


class AuditPage(msgspec.Struct):
    """Newest first; `broken_at` is the first entry that was changed."""

    entries: list[dict[str, Any]]
    num_entries: int
    more: bool
    intact: bool
    broken_at: int | None = None


class OpenAIError(msgspec.Struct):
    """The form of errors on the routes of OpenAI's API."""

    error: OpenAIErrorContent


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`streams` says when the answer comes as server-sent events; no `scopes` means that no key is needed."""

    tag: str
    body: Any = None
    gives: Any = None
    or_gives: Any = None
    status: int = 200
    scopes: tuple[str, ...] = ()
    streams: str = ""


_STREAM = (
    "With `Accept: text/event-stream`: the events accepted, routed, node, token, settled, aggregated, done, error."
)

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/healthz"): Operation(tag="Operations", gives=Health),
    ("GET", "/readyz"): Operation(tag="Operations", gives=Readiness),
    ("POST", "/v1/query"): Operation(
        tag="Asking",
        body=QueryRequest,
        gives=QueryResponse,
        or_gives=KeywordResponse,
        scopes=("query",),
        streams=_STREAM,
    ),
    ("POST", "/v1/query/{query}/feedback"): Operation(
        tag="Asking", body=FeedbackRequest, gives=FeedbackResponse, scopes=("query",)
    ),
    ("POST", "/v1/sealed"): Operation(tag="Asking", body=SealedRequest, gives=SealedResponse, scopes=("query",)),
    ("GET", "/v1/models"): Operation(tag="OpenAI", gives=ModelList, scopes=("query",)),
    ("GET", "/v1/models/{model}"): Operation(tag="OpenAI", gives=ModelView, scopes=("query",)),
    ("POST", "/v1/chat/completions"): Operation(
        tag="OpenAI",
        body=ChatRequest,
        gives=ChatCompletion,
        scopes=("query",),
        streams="With `stream`: chunks as OpenAI sends them, the last one `[DONE]`.",
    ),
    ("POST", "/v1/responses"): Operation(
        tag="OpenAI",
        body=ResponsesRequest,
        gives=dict[str, Any],
        scopes=("query",),
        streams="With `stream`: OpenAI's typed events, from response.created to response.completed.",
    ),
    ("GET", "/v1/nodes"): Operation(tag="Nodes", gives=NodeList, scopes=("query", "train")),
    ("POST", "/v1/identity"): Operation(tag="Nodes", body=IdentityRequest, gives=IdentityProof),
    ("POST", "/v1/enroll"): Operation(tag="Nodes", body=EnrollRequest, gives=Enrolled, status=201),
    ("GET", "/v1/connect"): Operation(tag="Nodes", status=101),
    ("POST", "/v1/admin/tokens"): Operation(
        tag="Administration", body=TokenRequest, gives=Token, status=201, scopes=("admin",)
    ),
    ("DELETE", "/v1/admin/nodes/{node}"): Operation(tag="Administration", status=204, scopes=("admin",)),
    ("POST", "/v1/jobs"): Operation(tag="Training", body=JOB_SETTINGS, gives=JobCreated, status=201, scopes=("train",)),
    ("GET", "/v1/jobs"): Operation(tag="Training", gives=JobList, scopes=("train",)),
    ("GET", "/v1/jobs/{job}"): Operation(tag="Training", gives=Job, scopes=("train",)),
    ("GET", "/v1/jobs/{job}/events"): Operation(
        tag="Training", scopes=("train",), streams="One event for whatever happens, until the job ends."
    ),
    ("POST", "/v1/jobs/{job}/cancel"): Operation(tag="Training", status=204, scopes=("train",)),
    ("POST", "/v1/jobs/{job}/resume"): Operation(tag="Training", status=204, scopes=("train",)),
    ("POST", "/v1/jobs/{job}/pause"): Operation(tag="Training", status=204, scopes=("train",)),
    ("GET", "/v1/timeline"): Operation(tag="Training", gives=Timeline, scopes=("query", "train")),
    ("GET", "/v1/prompts"): Operation(tag="Training", gives=PromptList, scopes=("query", "train")),
    ("POST", "/v1/prompts"): Operation(
        tag="Training", body=NewTemplate, gives=TemplateAdded, status=201, scopes=("train",)
    ),
    ("GET", "/v1/prompts/{version}"): Operation(tag="Training", gives=Prompt, scopes=("query", "train")),
    ("POST", "/v1/prompts/{version}/promote"): Operation(tag="Training", gives=Promotion, scopes=("train",)),
    ("POST", "/v1/prompts/rollback"): Operation(tag="Training", gives=Promotion, scopes=("train",)),
    ("GET", "/v1/training/{ticket}"): Operation(tag="Training"),
    ("PUT", "/v1/training/{ticket}"): Operation(tag="Training"),
    ("GET", "/metrics"): Operation(tag="Operations", scopes=("metrics",)),
    ("GET", "/v1/whoami"): Operation(tag="Administration", gives=WhoAmI, scopes=("query", "train", "admin")),
    ("GET", "/v1/activity"): Operation(tag="Administration", gives=Activity, scopes=("admin",)),
    ("GET", "/v1/promotions"): Operation(tag="Training", gives=Promotions, scopes=("query", "train")),
    ("GET", "/v1/admin/audit"): Operation(tag="Administration", gives=AuditPage, scopes=("admin",)),
    ("GET", "/openapi.json"): Operation(tag="Operations", gives=dict[str, Any]),
    ("GET", "/docs"): Operation(tag="Operations"),
    ("GET", "/docs/style.css"): Operation(tag="Operations"),
}
