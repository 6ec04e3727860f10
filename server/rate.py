"""A token bucket: the rate limit of API keys at the coordinator and of questions at a node."""

import time


class TokenBucket:
    """Lets `per_minute` calls through per minute, with a burst of a tenth of that (at least one)."""

    def __init__(self, per_minute: int) -> None:
        self._per_s = per_minute / 60
        self._burst = max(1.0, per_minute / 10)
        self._tokens = self._burst
        self._at = time.monotonic()

    def take(self) -> float:
        """Takes one token and returns 0.0, or returns the seconds until there is one."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_s
