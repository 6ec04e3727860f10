"""The seams where retrieval, language model and merging meet. `server` wires implementations to them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from frag.privacy.dp_decoding import DecodingRule
from frag.types import Adaptation, Aggregate, Generation, GenerationRequest, Hit, NodeAnswer, RetrievalMode

Progress = Callable[[int, int], None]
"""Called with (done, total) from time to time; must be cheap."""

TextListener = Callable[[str], None]
"""Called with all of a text that is written so far, on whatever thread writes it; must be cheap."""

FloatArray = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Texts to unit vectors. Thread-safe. The tokenizer's offsets let chunks follow the embedder's own tokens."""

    @property
    def fingerprint(self) -> str:
        """Identifies model and settings; vectors with different fingerprints must never be compared."""

    @property
    def dimension(self) -> int: ...

    @property
    def max_tokens(self) -> int:
        """Tokens of one text that are seen, special tokens excluded; the rest would be cut off silently."""

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Character span (start, end) of every token of `text`, special tokens excluded, never truncated."""

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> FloatArray:
        """Returns [len(texts), dimension] float32 with L2 norm 1 per row."""


class Retriever(Protocol):
    """Searches one collection of documents. Thread-safe; sees every acknowledged add and delete."""

    def search(self, question: str, top_k: int, mode: RetrievalMode = RetrievalMode.HYBRID) -> list[Hit]:
        """At most `top_k` hits, best `rank_score` first, no two with the same text."""


class LanguageModel(Protocol):
    """Writes answers. Not thread-safe: one worker owns it."""

    @property
    def name(self) -> str: ...

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        is_cancelled: Callable[[int], bool] = lambda _row: False,
        adaptation: Adaptation | None = None,
        listeners: Mapping[int, TextListener] | None = None,
    ) -> list[Generation]:
        """Answers a batch in one go, all of it with `adaptation`; order is kept.

        `is_cancelled(row)` is asked between decoding steps; a cancelled row stops early and returns what it has.
        `listeners` of rows are called on this thread as their text grows.
        """

    def check(self, adaptation: Adaptation) -> None:
        """Raises ModelError when the adaptation does not fit this model, or the model takes none."""


@runtime_checkable
class PrivateLanguageModel(Protocol):
    """A language model that also decodes under differential privacy."""

    def write_privately(
        self,
        request: GenerationRequest,
        references: Sequence[str],
        rule: DecodingRule,
        is_cancelled: Callable[[], bool],
        adaptation: Adaptation | None,
    ) -> str:
        """An answer, perhaps empty, that costs `rule.rho` for each of `references`, one passage of each unit."""


@runtime_checkable
class Aggregator(Protocol):
    """Merges the released answers of several nodes into one. Must not depend on their order."""

    @property
    def method(self) -> str: ...

    async def aggregate(self, question: str, answers: Sequence[NodeAnswer]) -> Aggregate:
        """`answers` hold released texts only, at least one. Raises ValueError when there is none."""


class Follower(Protocol):
    """Watches a merged text come into being. Called on the event loop; must be cheap."""

    def written(self, text: str) -> None:
        """All that the model has written so far. Provisional: a check may still discard it."""

    def settled(self, text: str) -> None:
        """What the merged text will begin with, come what may; each call extends the one before."""


@runtime_checkable
class FollowedAggregator(Aggregator, Protocol):
    """An aggregator whose text can be watched while it is written. The result is that of `aggregate`."""

    async def aggregate_followed(self, question: str, answers: Sequence[NodeAnswer], follower: Follower) -> Aggregate:
        """As `aggregate`."""


class Redactor(Protocol):
    """Finds personal data in text. Thread-safe."""

    def find(self, text: str) -> list[tuple[int, int, str]]:
        """Non-overlapping (start, end, TYPE) character spans in order, of the types that the policy names."""


Similarity = Callable[[Sequence[str]], FloatArray]
"""Texts to their [n, n] similarity matrix, 1.0 on the diagonal."""
