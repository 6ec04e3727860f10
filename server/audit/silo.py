"""One node of the simulated federation: the product's own answering over the attacker's documents, in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from frag.policy_settings import CollectionSettings, DpSettings, PolicySettings
from frag.protocols import LanguageModel
from frag.settings import ModelSettings
from frag.types import AnswerMode, NodeAnswer, RetrievalMode
from server.node.answering import NodeAnswering
from server.node.assembly import load_language_model, open_answering
from server.node.inference import InferenceWorker
from server.wire.messages import Ask

_DEADLINE_S = 600.0
_TOGETHER = 16


@asynccontextmanager
async def open_silo(
    folder: Path,
    documents: Mapping[str, str],
    mode: AnswerMode,
    *,
    threads: int,
    model: Callable[[], LanguageModel] | None = None,
    dp: DpSettings | None = None,
    keep_orders: bool = False,
) -> AsyncIterator[NodeAnswering]:
    """A node with the default policy for one mode, and a ledger where the mode is `dp`.

    Args:
        folder: Empty; gets documents, index and ledger.
        documents: Text by file name.
        mode: The only one that is answered.
        threads: Of models.
        model: Makes another language model than the default one.
        dp: Another budget than the default one.
        keep_orders: Leaves orders in documents to the model, against the default.
    """
    texts = folder / "documents"
    texts.mkdir(parents=True)
    for name, text in documents.items():
        (texts / f"{name}.txt").write_text(text, encoding="utf-8")
    models = ModelSettings(threads=threads)
    collections = [CollectionSettings(name="documents", folder=texts)]
    policy = PolicySettings(
        answer_modes=(mode,),
        questions_per_minute=1_000_000,
        dp=dp or DpSettings(),
        document_orders="keep" if keep_orders else "drop",
    )
    load = model or (lambda: load_language_model(models))
    async with (
        InferenceWorker(load, models.max_batch, models.gather_ms / 1000) as worker,
        open_answering(
            node_id="silo",
            models=models,
            policy=policy,
            collections=collections,
            index_folder=folder / "index",
            alias_key=bytes(32),
            worker=worker,
            ledger=folder / "ledger.db" if mode is AnswerMode.DP else None,
        ) as answering,
    ):
        await asyncio.to_thread(answering.ingest, {"documents": texts})
        yield answering


async def ask_all(
    answering: NodeAnswering, questions: Sequence[str], mode: AnswerMode, on_answer: Callable[[], None]
) -> list[NodeAnswer]:
    """Answers in order; some questions are under way at once, as at a busy node."""
    turns = asyncio.Semaphore(_TOGETHER)

    async def one(number: int, question: str) -> NodeAnswer:
        async with turns, asyncio.timeout(_DEADLINE_S):
            answer = await answering.answer(
                Ask(
                    request_id=number,
                    question=question,
                    top_k=5,
                    answer_mode=mode,
                    retrieval=RetrievalMode.DENSE,
                    retrieve_only=False,
                    deadline_s=_DEADLINE_S,
                )
            )
        on_answer()
        return answer

    return await asyncio.gather(*(one(number, question) for number, question in enumerate(questions)))
