"""Puts a node's parts together: models from the cache, one store a collection, worker threads; and takes them down."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from frag.models import Kind, locate
from frag.policy_settings import CollectionSettings, PolicySettings
from frag.privacy.ledger import Ledger
from frag.privacy.pii import PatternRedactor, PresidioRedactor
from frag.privacy.redaction_cache import RedactionCache
from frag.protocols import Embedder, LanguageModel
from frag.settings import NO_LANGUAGE_MODEL, ModelSettings
from frag.types import AnswerMode
from retrievers.embedding import SentenceEmbedder
from retrievers.store import DocumentStore
from server.node.answering import NodeAnswering
from server.node.indices import LiveIndices
from server.node.inference import InferenceWorker
from server.node.masking import Masking, Warming, fingerprint
from server.node.opening import open_indices
from server.node.policy import NodePolicy
from server.node.private_answering import PrivateAnswering
from server.node.terms import hold_to_terms


def load_embedder(models: ModelSettings, *, one_by_one: bool = False) -> SentenceEmbedder:
    """The node's embedder.

    Args:
        models: Which one.
        one_by_one: No text passes through the network with others, whose lengths would show in its last bits. Mode `dp`
            asks for it: a document must not change how near another is.

    Raises:
        ModelError: The files are missing or corrupt.
    """
    folder = locate(models.embedder, Kind.EMBEDDER)
    if one_by_one:
        return SentenceEmbedder(folder, threads=models.threads, batch_size=1)
    return SentenceEmbedder(folder, threads=models.threads)


def load_named(models: ModelSettings, embedder: str, *, one_by_one: bool = False) -> SentenceEmbedder:
    """The embedder of that name, under these settings otherwise. Raises ModelError."""
    return load_embedder(models.model_copy(update={"embedder": embedder}), one_by_one=one_by_one)


def load_language_model(models: ModelSettings) -> LanguageModel:
    """Raises ModelError when the files are missing or corrupt."""
    from prompt_tuning.language_model import TransformersLanguageModel

    return TransformersLanguageModel(locate(models.language_model, Kind.LANGUAGE_MODEL), threads=models.threads)


def inference_worker(models: ModelSettings) -> InferenceWorker:
    """A worker that loads its own model when it is entered."""
    return InferenceWorker(lambda: load_language_model(models), models.max_batch, models.gather_ms / 1000)


@asynccontextmanager
async def open_answering(
    *,
    node_id: str,
    models: ModelSettings,
    policy: PolicySettings,
    collections: Sequence[CollectionSettings],
    index_folder: Path,
    alias_key: bytes,
    worker: InferenceWorker | None = None,
    ledger: Path | None = None,
    vectors_at: str | None = None,
) -> AsyncIterator[NodeAnswering]:
    """Loads everything that answering needs; `worker` lends one that is running already, `vectors_at` is a store's.

    Without a `ledger` nothing is answered in mode `dp`.

    Raises:
        ModelError: A model is missing or corrupt.
        IndexStoreError: An index cannot be opened.
        LedgerError: The ledger is needed and cannot be opened, or units would get more than they were promised.
    """
    async with AsyncExitStack() as stack:
        workers = stack.enter_context(ThreadPoolExecutor(max_workers=2, thread_name_prefix="silo"))
        rules = NodePolicy(policy, collections)
        names = [collection.name for collection in collections]
        load = partial(load_named, models)
        opened_now = await asyncio.to_thread(open_indices, index_folder, names, models.embedder, load, vectors_at)
        indices = LiveIndices(opened_now)
        stack.callback(indices.close)
        embedder, stores = indices.embedder, indices.stores
        if worker is None and models.language_model != NO_LANGUAGE_MODEL:
            worker = await stack.enter_async_context(inference_worker(models))
        patterns = PatternRedactor(policy.entity_types)
        masking = Masking(passages=patterns, answers=patterns, patterns=patterns)
        if set(rules.modes()) - {AnswerMode.NONE, AnswerMode.DP}:
            open_ = [name for name in stores if name not in rules.under_dp()]
            masking = await _open_masking(stack, models, policy, index_folder, indices, open_)
        private = None
        if ledger is not None:
            await asyncio.to_thread(hold_to_terms, ledger, policy, collections)
        if ledger is not None and rules.under_dp():
            opened = await asyncio.to_thread(Ledger.open, ledger)
            stack.callback(opened.close)
            private = PrivateAnswering(
                node_id=node_id,
                settings=policy.dp,
                collections=list(rules.under_dp().values()),
                stores=stores,
                embedder=embedder,
                worker=worker,
                redactor=patterns,
                ledger=opened,
                workers=workers,
                indices=indices,
            )
        yield NodeAnswering(
            node_id=node_id,
            policy=rules,
            rules=policy,
            models=models,
            stores=stores,
            embedder=embedder,
            worker=worker,
            masking=masking,
            workers=workers,
            alias_key=alias_key,
            private=private,
            indices=indices,
        )


async def _open_masking(
    stack: AsyncExitStack,
    models: ModelSettings,
    policy: PolicySettings,
    index_folder: Path,
    indices: LiveIndices,
    names: Sequence[str],
) -> Masking:
    """Recognising persons takes seconds to load, and only the modes that filter ask for it."""
    full = await asyncio.to_thread(
        lambda: PresidioRedactor(locate(models.ner, Kind.NER), policy.entity_types, names=policy.names)
    )
    file = index_folder / "redactions.db"
    cache = await asyncio.to_thread(RedactionCache.open, file, full, fingerprint(models, policy))
    stack.callback(cache.close)
    worker = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="masking"))
    warming = asyncio.create_task(Warming(cache, indices.stores, worker, names).run())
    stack.push_async_callback(_cancelled, warming)
    return Masking(passages=cache, answers=full, patterns=PatternRedactor(policy.entity_types))


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def open_stores(
    index_folder: Path, collections: Sequence[CollectionSettings], embedder: Embedder
) -> Mapping[str, DocumentStore]:
    """One store a collection, in `index_folder / name`."""
    return {c.name: DocumentStore.open(index_folder / c.name, embedder) for c in collections}
