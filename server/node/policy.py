"""The node operator's policy at work: authorises every question again, whatever the coordinator allowed."""

from collections.abc import Sequence

from frag.policy_settings import CollectionSettings, PolicySettings
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
        allowed = {mode for c in self._collections for mode in c.modes_under(self._settings)}
        return tuple(mode for mode in AnswerMode if mode in allowed)

    def collections(self, mode: AnswerMode) -> list[str]:
        """Names of the collections that answer in a mode."""
        return [c.name for c in self._collections if mode in c.modes_under(self._settings)]

    def under_dp(self) -> dict[str, CollectionSettings]:
        """Collections of mode `dp`, by name; the settings have made sure that none has a weaker mode beside it."""
        return {c.name: c for c in self._collections if AnswerMode.DP in c.modes_under(self._settings)}

    def admit(self, mode: AnswerMode) -> tuple[list[str], str]:
        """Names of the collections that may be searched, or none and the reason to withhold."""
        names = self.collections(mode)
        if not names:
            return [], "mode_not_allowed" if self._collections else "no_documents"
        if self._bucket.take() > 0:
            return [], "rate_limited"
        return names, ""
