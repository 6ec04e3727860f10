"""The node operator's policy at work: authorises every question again, whatever the coordinator allowed."""

from collections.abc import Sequence

from frag.settings import CollectionSettings, PolicySettings
from frag.types import AnswerMode
from server.rate import TokenBucket


class NodePolicy:
    """Decides which collections a question may see. Holds the rate limit; one per process."""

    def __init__(self, settings: PolicySettings, collections: Sequence[CollectionSettings]) -> None:
        self._settings = settings
        self._collections = collections
        self._bucket = TokenBucket(settings.questions_per_minute)

    def modes(self) -> tuple[AnswerMode, ...]:
        """Modes that at least one collection answers in."""
        allowed = {mode for mode in AnswerMode for c in self._collections if mode in self._modes_of(c)}
        return tuple(mode for mode in AnswerMode if mode in allowed)

    def _modes_of(self, collection: CollectionSettings) -> tuple[AnswerMode, ...]:
        """A collection can narrow the policy, never widen it."""
        if collection.answer_modes is None:
            return self._settings.answer_modes
        return tuple(mode for mode in collection.answer_modes if mode in self._settings.answer_modes)

    def claiming_dp(self) -> frozenset[str]:
        """Collections with mode `dp` and no weaker one beside it: only they carry its claim."""
        return frozenset(c.name for c in self._collections if set(self._modes_of(c)) == {AnswerMode.DP})

    def admit(self, mode: AnswerMode) -> tuple[list[str], str]:
        """Names of the collections that may be searched, or none and the reason to withhold."""
        names = [c.name for c in self._collections if mode in self._modes_of(c)]
        if not names:
            return [], "mode_not_allowed" if self._collections else "no_documents"
        if self._bucket.take() > 0:
            return [], "rate_limited"
        return names, ""
