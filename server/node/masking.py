"""What the language model reads in place of a passage: personal data masked, before anything is written.

Each passage is searched once, when it is indexed or when a question first finds it.
"""

import asyncio
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain

import structlog

import frag
from frag.errors import IndexStoreError
from frag.policy_settings import PolicySettings
from frag.privacy.redaction import PLACEHOLDER, Span, redact
from frag.privacy.redaction_cache import RedactionCache
from frag.protocols import Redactor
from frag.settings import ModelSettings
from retrievers.store import DocumentStore

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
_BETWEEN = "\n\x1e\n"
"""Record separator: no identifier reaches across it."""
_BATCH = 16
_EVERY_S = 2.0
_PERSON = "PERSON"
_WORD = re.compile(r"\w+")


def fingerprint(models: ModelSettings, policy: PolicySettings) -> str:
    """Names everything that the findings of the node's redactor depend on."""
    parts = (frag.__version__, models.ner, policy.names, *sorted(policy.entity_types))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Masked:
    """Passages as the model may read them, and the words that stand beside the personal data in them."""

    shown: tuple[str, ...] = field(repr=False)
    words: frozenset[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Masking:
    """Masks passages, and chooses how closely an answer is looked at.

    Args:
        passages: Finds everything that the policy names, and remembers what it found.
        answers: Finds the same, for texts that come once.
        patterns: Finds identifiers by their form alone; fast.
    """

    passages: Redactor
    answers: Redactor
    patterns: Redactor

    def mask(self, passages: Sequence[str], question: str) -> Masked:
        """Masks all passages at once, so that one placeholder means one value in the whole prompt. Blocking.

        What the model never saw it cannot copy. A name that the question names stays: the model reads it there.
        """
        clean = [text.replace(_BETWEEN, " ") for text in passages]
        joined, spans = _BETWEEN.join(clean), list(self._spans(clean))
        hidden = [span for span in spans if span[2] != _PERSON or not _is_named(joined[span[0] : span[1]], question)]
        return Masked(
            shown=tuple(redact(joined, hidden)[0].split(_BETWEEN)) if clean else (),
            words=frozenset(_WORD.findall(PLACEHOLDER.sub(" ", redact(joined, spans)[0]))),
        )

    def forget(self, passages: Sequence[str]) -> None:
        """Forgets what was found in passages that are deleted. Blocking."""
        if isinstance(self.passages, RedactionCache):
            self.passages.forget(passages)

    def checking(self, answer: str, masked: Masked) -> Redactor:
        """Who looks at an answer: patterns alone where all its words were looked at already, and are not personal."""
        words = _WORD.findall(PLACEHOLDER.sub(" ", answer))
        return self.patterns if masked.words.issuperset(words) else self.answers

    def _spans(self, texts: Sequence[str]) -> Iterator[Span]:
        """Places in the joined text."""
        offset = 0
        for text in texts:
            for start, end, kind in self.passages.find(text):
                yield offset + start, offset + end, kind
            offset += len(text) + len(_BETWEEN)


def _is_named(name: str, question: str) -> bool:
    return f" {' '.join(_WORD.findall(name.casefold()))} " in f" {' '.join(_WORD.findall(question.casefold()))} "


class Warming:
    """Searches what was indexed, in the background, until it is cancelled.

    Args:
        cache: Remembers.
        stores: All that is answered from; their chunks alone stay in the cache.
        worker: One thread, so that questions keep theirs.
        names: Of the stores that are looked at; None: of all.
    """

    def __init__(
        self,
        cache: RedactionCache,
        stores: Mapping[str, DocumentStore],
        worker: ThreadPoolExecutor,
        names: Sequence[str] | None = None,
    ) -> None:
        self._cache = cache
        self._stores = stores
        self._names = list(stores) if names is None else names
        self._worker = worker
        self._done: dict[str, tuple[int, int]] = {}  # revision, last chunk id
        self._seen: list[DocumentStore] = []

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            stores = [self._stores[name] for name in self._names]
            if stores != self._seen:  # at first, and when another embedder has cut the documents anew
                self._seen, self._done = stores, {}
                await loop.run_in_executor(self._worker, self._forget)
            more = [await loop.run_in_executor(self._worker, self._step, name) for name in self._names]
            await asyncio.sleep(0 if any(more) else _EVERY_S)

    def _step(self, name: str) -> bool:
        """Searches a few new chunks; whether there may be more."""
        store = self._stores[name]
        revision, after = self._done.get(name, (-1, 0))
        try:
            if revision == (now := store.revision()):
                return False
            chunks = store.read_chunks(after, _BATCH)
        except IndexStoreError as error:
            _log.warning("passages_not_searched", collection=name, code=error.code)
            return False
        for text in self._cache.missing([text for _, text in chunks]):
            self._cache.find(text)
        is_last = len(chunks) < _BATCH
        self._done[name] = (now if is_last else -1, chunks[-1][0] if chunks else after)
        return not is_last

    def _forget(self) -> None:
        """Passages that are gone."""
        try:
            self._cache.keep_only(chain.from_iterable(map(_texts, self._seen)))
        except IndexStoreError as error:
            _log.warning("passages_not_searched", code=error.code)


def _texts(store: DocumentStore) -> Iterator[str]:
    after = 0
    while chunks := store.read_chunks(after, 1000):
        yield from (text for _, text in chunks)
        after = chunks[-1][0]
