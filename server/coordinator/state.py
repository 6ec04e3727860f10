"""What the application carries: one typed state under one key."""

import hashlib
import hmac
from dataclasses import dataclass, field

import structlog
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.settings import CoordinatorSettings
from server.coordinator.activity import Activity
from server.coordinator.answer_views import QueryResponse
from server.coordinator.auth import Gate
from server.coordinator.database import Database
from server.coordinator.enrollment import Enrollment
from server.coordinator.feedback import FeedbackService
from server.coordinator.links import Registry
from server.coordinator.query import QueryRequest, QueryService
from server.coordinator.standing.service import StandingService
from server.coordinator.training.exchange import Exchange
from server.coordinator.training.jobs import JobService
from server.coordinator.training.versions import Versions
from server.telemetry.coordinator import CoordinatorWatch

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorState:
    """Everything that handlers need. Made once per application by `app.make_app`."""

    settings: CoordinatorSettings
    key: Ed25519PrivateKey
    accepted_spki: frozenset[bytes]
    database: Database
    registry: Registry
    gate: Gate
    enrollment: Enrollment
    query: QueryService
    jobs: JobService
    standing: StandingService
    versions: Versions
    exchange: Exchange
    watch: CoordinatorWatch
    log_key: bytes = field(repr=False)
    feedback: FeedbackService
    activity: Activity = field(default_factory=Activity)

    def log_query(self, asked: QueryRequest, answered: QueryResponse) -> None:
        """One line per question: a keyed hash and counts, never text."""
        self.activity.note(answered)
        self.feedback.contributors.note(answered)
        digest = hmac.new(self.log_key, asked.question.encode(), hashlib.sha256).hexdigest()[:16]
        _log.info(
            "query",
            query_id=answered.query_id,
            question_hash=digest,
            answered=len(answered.answered),
            withheld=len(answered.withheld),
            failed=[view.node for view in answered.failed],
            total_ms=answered.timings["total_ms"],
        )


STATE = web.AppKey("STATE", CoordinatorState)
