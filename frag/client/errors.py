"""What a coordinator refused, as it said it."""

from collections.abc import Mapping
from typing import Any

from frag.errors import FragError

_EXIT_CODES = {401: 5, 403: 5, 429: 6, 503: 6}


class CoordinatorError(FragError):
    """A problem document that the coordinator sent, with its own code, status and mend."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail", "")), str(problem.get("mend", "")))
        self.code = str(problem.get("code", "internal"))
        self.http_status = int(problem.get("status", 500))
        self.exit_code = _EXIT_CODES.get(self.http_status, 2 if self.http_status < 500 else 1)
