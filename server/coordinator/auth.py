"""API keys: who asks, with which scopes, how often."""

import hashlib
import secrets
import time
from dataclasses import dataclass

from frag.errors import AuthenticationError, ForbiddenError, RateLimitedError
from server.coordinator.database import Database
from server.rate import TokenBucket

SCOPES = frozenset({"query", "train", "admin", "metrics"})
_CACHE_S = 2.0
_MAX_CACHED = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a valid API key."""

    label: str
    scopes: frozenset[str]


def new_api_key() -> str:
    """A key with 256 random bits; the prefix lets secret scanners find it."""
    return "frag_" + secrets.token_urlsafe(32)


def hash_api_key(key: str) -> bytes:
    """SHA-256, 32 bytes: what the database keeps."""
    return hashlib.sha256(key.encode()).digest()


class Gate:
    """Checks keys against the database, remembering them for _CACHE_S, so a revoked key dies within that."""

    def __init__(self, database: Database, queries_per_minute: int) -> None:
        self._database = database
        self._queries_per_minute = queries_per_minute
        self._known: dict[bytes, tuple[float, Caller]] = {}
        self._buckets: dict[str, TokenBucket] = {}

    async def admit(self, authorization: str | None, *scopes: str) -> Caller:
        """The caller behind an `Authorization: Bearer …` header, whose key has one of the scopes.

        Raises:
            AuthenticationError: No key, or one that is not in force.
            ForbiddenError: The key has none of the scopes.
            RateLimitedError: The key is over its rate.
        """
        caller = await self._caller(authorization)
        if caller.scopes.isdisjoint({*scopes, "admin"}):
            wanted = " or ".join(map(repr, scopes))
            raise ForbiddenError(f"API key {caller.label!r} lacks the scope {wanted}.", "Ask for a key that has it.")
        bucket = self._buckets.setdefault(caller.label, TokenBucket(self._queries_per_minute))
        if (wait_s := bucket.take()) > 0:
            raise RateLimitedError(
                f"API key {caller.label!r} is over {self._queries_per_minute} requests per minute.",
                f"Try again in {wait_s:.1f} s.",
                retry_after_s=round(wait_s, 1),
            )
        return caller

    async def _caller(self, authorization: str | None) -> Caller:
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise AuthenticationError(
                "The request carries no API key.", "Send the header `Authorization: Bearer <key>`."
            )
        key_hash = hash_api_key(key.strip())
        seen = self._known.get(key_hash)
        if seen and time.monotonic() - seen[0] < _CACHE_S:
            return seen[1]
        found = await self._database.key(key_hash)
        if found is None:
            self._known.pop(key_hash, None)
            raise AuthenticationError("The API key is unknown or revoked.", "Make one with `frag coordinator key add`.")
        if len(self._known) >= _MAX_CACHED:
            self._known.clear()
        caller = Caller(*found)
        self._known[key_hash] = (time.monotonic(), caller)
        return caller
