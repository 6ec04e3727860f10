"""Values of metric labels. What a peer may choose is mapped to a known value, so that nobody can make series."""

from frag import errors
from frag.errors import FragError
from frag.privacy.release import WithheldReason


def _codes(root: type[FragError]) -> set[str]:
    return {root.code}.union(*(_codes(child) for child in root.__subclasses__()))


ERROR_CODES = frozenset(_codes(errors.FragError))
WITHHELD = frozenset(map(str, WithheldReason)) | {
    "held_back",
    "mode_not_allowed",
    "no_documents",
    "no_language_model",
    "not_under_dp",
    "paused",
    "rate_limited",
    "release_stopped",
}
FAILED = ERROR_CODES | {"bad_reply", "deadline_exceeded", "disconnected", "not_connected", "not_offered"}


def withheld_label(reason: str) -> str:
    """The reason, or `other` for one that this version does not know."""
    return reason if reason in WITHHELD else "other"


def failed_label(code: str) -> str:
    """The code, or `other`."""
    return code if code in FAILED else "other"
