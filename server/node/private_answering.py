"""Mode `dp` inside one silo: which units take part, what they are charged, and an answer that says little about each.

What a unit does here depends on that unit alone, and nothing reads documents once the tokens are drawn: an answer
always comes, without citations, evidence, counts or times.

Source: Vinod, Pillutla and Thakurta 2025, "InvisibleInk"; Feldman and Zrnic 2021, "Individual Privacy Accounting via a
Rényi Filter", for budgets by unit.
"""

import asyncio
import math
import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from frag.errors import ModelError
from frag.policy_settings import CollectionSettings, DpSettings
from frag.privacy.accounting import allowed_clip, rho_within
from frag.privacy.dp_decoding import DecodingRule
from frag.privacy.ledger import Ledger
from frag.privacy.redaction import redact
from frag.protocols import Embedder, FloatArray, LanguageModel, PrivateLanguageModel, Redactor
from frag.types import Adaptation, AnswerMode, GenerationRequest, Hit, NodeAnswer
from retrievers.store import DocumentStore
from server.node.indices import Indices, LiveIndices
from server.node.inference import InferenceWorker
from server.wire.messages import Ask

NOTHING_SAID = "No answer."
"""Stands for a text without words, since an answer always comes."""
SCORE = 0.5
"""Of every answer: one that followed the evidence would tell of it."""


class Unit(NamedTuple):
    """Whose privacy is counted: a person, or a document. `text` is its best passage for a question."""

    name: str
    collection: str
    text: str

    def __repr__(self) -> str:
        return f"Unit({len(self.text)} chars of {self.collection!r})"


class Price(NamedTuple):
    """Of an answer in mode `dp`: ρ for each of the `num_able` units near the question that have so much left."""

    rho: float
    rho_limit: float
    num_units: int
    num_able: int


class PrivateAnswering:
    """Answers over the collections of mode `dp`. Blocking work runs in `workers` and in the inference worker.

    Args:
        node_id: Of this node.
        settings: Fixed and public.
        collections: Those that answer in mode `dp` and in no other.
        stores: Their indices, by name.
        embedder: Of the indices.
        worker: None on a node without a language model, which withholds every question.
        redactor: Finds identifiers by their form; looks at one passage, or at the answer, at a time.
        ledger: What units have spent.
        workers: For everything that blocks.
        indices: What may change over, where `stores` and `embedder` do.
    """

    def __init__(
        self,
        *,
        node_id: str,
        settings: DpSettings,
        collections: Sequence[CollectionSettings],
        stores: Mapping[str, DocumentStore],
        embedder: Embedder,
        worker: InferenceWorker | None,
        redactor: Redactor,
        ledger: Ledger,
        workers: ThreadPoolExecutor,
        indices: LiveIndices | None = None,
    ) -> None:
        self._node_id = node_id
        self._settings = settings
        self._collections = collections
        self._indices = indices or LiveIndices(Indices(embedder=embedder, stores=stores))
        self._worker = worker
        self._redactor = redactor
        self._ledger = ledger
        self._workers = workers
        self._limit = rho_within(settings.epsilon, settings.delta)
        self._rule = decoding_rule(settings)

    async def answer(self, ask: Ask) -> NodeAnswer:
        """An answer; it always comes, unless the node answers no question at all.

        Raises:
            LedgerError: The charge could not be made durable; nothing was generated.
        """
        if self._worker is None or ask.retrieve_only:
            reason = "not_under_dp" if ask.retrieve_only else "no_language_model"
            return NodeAnswer(node_id=self._node_id, mode=AnswerMode.DP, withheld=reason)
        live = public_part(self._worker.live)
        loop = asyncio.get_running_loop()
        request, passages = await loop.run_in_executor(self._workers, self._prepare, ask.question)
        stopped = threading.Event()
        try:
            text = await self._worker.call(lambda model: self._write(model, request, passages, stopped, live))
        except asyncio.CancelledError:
            stopped.set()
            raise
        return self._released(await loop.run_in_executor(self._workers, self._finish, text), live)

    @property
    def rho(self) -> float:
        """What a unit pays for an answer, of either kind."""
        return self._limit / self._settings.questions

    @property
    def rho_of_an_answer(self) -> float:
        """What `answer` charges each unit."""
        return self._rule.rho

    def price(self, question: str) -> "Price":
        """What an answer would charge, and to how many units; charges nothing. For the operator alone. Blocking."""
        _, units = self._near(question)
        able = sum(self._ledger.spent_by(unit.name) + self._rule.rho <= self._limit for unit in units)
        return Price(rho=self._rule.rho, rho_limit=self._limit, num_units=len(units), num_able=able)

    def paid_passages(self, question: str, rho: float, query_id: str) -> list[str]:
        """The best passage of each unit that could pay ρ, once for each `query_id`. Blocking.

        Raises:
            LedgerError: The charge could not be made durable, or this question was charged before.
        """
        return self._paid(self._near(question)[1], rho, query_id)

    def _near(self, question: str) -> tuple[FloatArray, list[Unit]]:
        """The question's vector, and every unit whose best passage is near enough."""
        floor = self._settings.min_evidence
        with self._indices.using() as now:
            vector = now.embedder.embed([question])[0]
            return vector, best_passages([(c, now.stores[c.name].matches(vector, floor)) for c in self._collections])

    def _paid(self, units: Sequence[Unit], rho: float, query_id: str = "") -> list[str]:
        """Charges the units, and only then hands out what those who could pay have to say."""
        able = self._ledger.charge({unit.name: unit.collection for unit in units}, rho, self._limit, query_id)
        texts = {unit.name: unit.text for unit in units}
        return [texts[name] for name in able]

    def _prepare(self, question: str) -> tuple[GenerationRequest, list[str]]:
        vector, units = self._near(question)
        request = GenerationRequest(question=question, question_vector=vector)
        return request, [self._masked(text) for text in self._paid(units, self._rule.rho)]

    def _masked(self, text: str) -> str:
        return redact(text, self._redactor.find(text))[0]

    def _write(
        self,
        model: LanguageModel,
        request: GenerationRequest,
        passages: Sequence[str],
        stopped: threading.Event,
        live: Adaptation | None,
    ) -> str:
        if not isinstance(model, PrivateLanguageModel):
            raise ModelError("The language model cannot decode in mode dp.", "Use the built-in one.")
        return model.write_privately(request, passages, self._rule, stopped.is_set, live)

    def _finish(self, text: str) -> str:
        """Reads the text alone."""
        return self._masked(text).strip() or NOTHING_SAID

    def _released(self, text: str, live: Adaptation | None) -> NodeAnswer:
        return NodeAnswer(
            node_id=self._node_id,
            mode=AnswerMode.DP,
            text=text,
            score=SCORE,
            prompt_version=live.version if live else "",
            epsilon=self._settings.epsilon + (live.epsilon if live else 0.0),
            delta=self._settings.delta + (live.delta if live else 0.0),
        )


def decoding_rule(settings: DpSettings) -> DecodingRule:
    """The rule whose answers cost, `questions` of them together, what the budget allows."""
    rho = rho_within(settings.epsilon, settings.delta) / settings.questions
    clip = allowed_clip(rho, settings.references, settings.temperature, settings.tokens)
    return DecodingRule(
        clip=math.floor(clip * 1e9) / 1e9,  # rounding must never bring the last answer over the budget
        references=settings.references,
        temperature=settings.temperature,
        top_k=settings.top_k,
        num_tokens=settings.tokens,
        passage_tokens=settings.passage_tokens,
    )


def public_part(live: Adaptation | None) -> Adaptation | None:
    """The live prompt where it has a bound of its own; else None, since somebody's examples would speak from it."""
    return live if live is not None and math.isfinite(live.epsilon) else None


def best_passages(found: Sequence[tuple[CollectionSettings, Sequence[Hit]]]) -> list[Unit]:
    """The best passage of each unit among its own chunks, wherever they lie; of equals the first by its documents."""
    hits = [(collection, hit) for collection, some in found for hit in some]
    hits.sort(key=lambda item: (-item[1].score, item[0].name, item[1].document_id, item[1].start_char))
    best: dict[str, Unit] = {}
    for collection, hit in hits:
        name = unit_name(collection, hit.document_id)
        best.setdefault(name, Unit(name, collection.name, hit.text))
    return list(best.values())


def unit_name(collection: CollectionSettings, document_id: str) -> str:
    """The person that the collection's pattern finds in the document's id, or else the document.

    Edits, re-indexing and deletion do not change it, so what was spent stays spent.
    """
    person = names_a_person(collection, document_id)
    return f"person:{person}" if person else f"document:{collection.name}/{document_id}"


def names_a_person(collection: CollectionSettings, document_id: str) -> str:
    """Whom the collection's pattern finds in a document's id; empty when nobody."""
    found = re.search(collection.unit, document_id) if collection.unit else None
    return found[1] or "" if found else ""
