"""Every error that a user can meet: a stable code, an HTTP status, an exit code, and what to do.

FragError
├── SettingsError            bad_settings          400   2    a settings file or environment value is wrong
├── BadRequestError          bad_request           422   2    a request does not fit the API
├── PayloadTooLargeError     payload_too_large     413   2    a body or frame is over the cap
├── ModelError               bad_model             500   3    a model file is missing, corrupt or unknown
├── DocumentError            bad_document          422   4    a document cannot be read
├── DatasetError             bad_dataset           422   4    a file of training examples cannot be used
├── IndexStoreError          bad_index             500   4    a retrieval index cannot be used
├── AuthenticationError      not_authenticated     401   5    a key, token or signature is missing or wrong
├── ForbiddenError           not_permitted         403   5    the key is valid and lacks the scope
│   └── ReleaseStoppedError  release_stopped       403   5    the node's operator lets nothing out now
├── NotFoundError            not_found             404   2    the named thing does not exist
│   └── UnknownNodeError     unknown_node          404   2
├── FeedbackExpiredError     feedback_expired      410   2    the question is no longer kept
├── ConflictError            conflict              409   2    the thing exists already
├── ClosedError              closed                409   2    a client was closed before this call
├── RateLimitedError         rate_limited          429   6    too many requests
├── NoNodesError             no_nodes              503   6    nobody is connected who could answer
├── QuorumError              quorum_not_met        503   6    fewer nodes replied than were asked for
├── NotReadyError            not_ready             503   6    something is still being prepared
├── FeedbackNotTakenError    feedback_not_taken    503   6    no node took the feedback
├── UnreachableError         no_connection         502   6    the other side cannot be reached
├── UpdateError              bad_update            422   7    a node's training update does not fit
├── LedgerError              ledger_refused        503   7    a privacy budget is used up or cannot be charged
├── SealingError             bad_envelope          400   7    a sealed question or answer is refused; the code says why
├── ProtocolError            bad_frame             400   7    a peer broke the wire protocol
└── CoordinatorError         its own               its own    a coordinator refused a request over HTTP
"""

from collections.abc import Mapping
from typing import Any


class FragError(Exception):
    """Root of the tree. `what` says what is wrong and where, `mend` what to do about it.

    Args:
        what: What is wrong, with the offending value or place. Never text of a question or document.
        mend: The action that mends it, in the imperative.
        details: Extension members of the problem document (JSON types only).
    """

    code: str = "internal"
    http_status: int = 500
    exit_code: int = 1

    def __init__(self, what: str, mend: str = "", **details: object) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend
        self.details = details

    def __str__(self) -> str:
        return f"{self.what} {self.mend}".strip()


class SettingsError(FragError):
    code, http_status, exit_code = "bad_settings", 400, 2


class BadRequestError(FragError):
    code, http_status, exit_code = "bad_request", 422, 2


class PayloadTooLargeError(FragError):
    code, http_status, exit_code = "payload_too_large", 413, 2


class ModelError(FragError):
    code, http_status, exit_code = "bad_model", 500, 3


class DocumentError(FragError):
    code, http_status, exit_code = "bad_document", 422, 4


class DatasetError(FragError):
    code, http_status, exit_code = "bad_dataset", 422, 4


class IndexStoreError(FragError):
    code, http_status, exit_code = "bad_index", 500, 4


class AuthenticationError(FragError):
    code, http_status, exit_code = "not_authenticated", 401, 5


class ForbiddenError(FragError):
    code, http_status, exit_code = "not_permitted", 403, 5


class ReleaseStoppedError(ForbiddenError):
    code = "release_stopped"


class NotFoundError(FragError):
    code, http_status, exit_code = "not_found", 404, 2


class UnknownNodeError(NotFoundError):
    code = "unknown_node"


class FeedbackExpiredError(FragError):
    code, http_status, exit_code = "feedback_expired", 410, 2


class ConflictError(FragError):
    code, http_status, exit_code = "conflict", 409, 2


class ClosedError(FragError):
    code, http_status, exit_code = "closed", 409, 2


class RateLimitedError(FragError):
    code, http_status, exit_code = "rate_limited", 429, 6


class NoNodesError(FragError):
    code, http_status, exit_code = "no_nodes", 503, 6


class QuorumError(FragError):
    code, http_status, exit_code = "quorum_not_met", 503, 6


class NotReadyError(FragError):
    code, http_status, exit_code = "not_ready", 503, 6


class FeedbackNotTakenError(FragError):
    code, http_status, exit_code = "feedback_not_taken", 503, 6


class UnreachableError(FragError):
    code, http_status, exit_code = "no_connection", 502, 6


class ProtocolError(FragError):
    code, http_status, exit_code = "bad_frame", 400, 7


class LedgerError(FragError):
    code, http_status, exit_code = "ledger_refused", 503, 7


class UpdateError(FragError):
    code, http_status, exit_code = "bad_update", 422, 7


class SecureSumError(FragError):
    code, http_status, exit_code = "secure_sum_failed", 409, 7


class RosterError(FragError):
    code, http_status, exit_code = "bad_roster", 409, 5


class SealingError(FragError):
    """`code` is told to the relay, which must learn no more than it."""

    code, http_status, exit_code = "bad_envelope", 400, 7

    def __init__(self, what: str, mend: str = "", *, code: str = "bad_envelope", **details: object) -> None:
        super().__init__(what, mend, **details)
        self.code = code


class CoordinatorError(FragError):
    """A problem document that a coordinator sent, with its own code, status and mend."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail", "")), str(problem.get("mend", "")))
        self.code = str(problem.get("code", "internal"))
        self.http_status = int(problem.get("status", 500))
        self.exit_code = {401: 5, 403: 5, 429: 6, 503: 6}.get(self.http_status, 2 if self.http_status < 500 else 1)
