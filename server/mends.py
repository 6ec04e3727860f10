"""What to do about an error, for whoever typed a command; the coordinator's own mends speak to programs."""

from frag.errors import CoordinatorError, FragError

_MENDS = {
    "not_authenticated": "Give a key in force with --key, or in FRAG_API_KEY.",
    "not_permitted": "Make a key that has it with `frag coordinator key add LABEL --scope SCOPE`.",
}


def mend_of(error: FragError) -> str:
    """Empty where nothing is known."""
    if not isinstance(error, CoordinatorError):
        return error.mend
    said = error.mend.replace("`GET /v1/jobs`", "`frag jobs list`").replace("`GET /v1/nodes`", "`frag nodes`")
    return _MENDS.get(error.code) or said
