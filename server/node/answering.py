"""question → search → generate → release, inside one silo. Nothing returns from here that `release` has not passed."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from frag.answers.calibration import answer_score
from frag.answers.untrusted import as_data
from frag.policy_settings import PolicySettings
from frag.privacy.release import Draft, ReleaseRules, Withheld, release
from frag.protocols import Embedder, FloatArray
from frag.settings import ModelSettings
from frag.types import AnswerMode, Citation, Generation, GenerationRequest, NodeAnswer, RetrievalMode
from retrievers.store import DocumentStore
from server.node.found import Found, Scores, document_alias
from server.node.indices import Indices, LiveIndices
from server.node.inference import InferenceWorker
from server.node.masking import Masked, Masking
from server.node.parts import Remembers
from server.node.policy import NodePolicy
from server.node.private_answering import PrivateAnswering, unit_name
from server.node.profile import Voter, united
from server.telemetry.observation import stage
from server.wire.messages import Ask

_ATTEMPTS = 3
"""At an answer whose documents change while it is written."""


class NodeAnswering:
    """Answers questions over the node's collections. Blocking work runs in `workers` and in the inference worker."""

    def __init__(
        self,
        *,
        node_id: str,
        policy: NodePolicy,
        rules: PolicySettings,
        models: ModelSettings,
        stores: Mapping[str, DocumentStore],
        embedder: Embedder,
        worker: InferenceWorker | None,
        masking: Masking,
        workers: ThreadPoolExecutor,
        alias_key: bytes,
        private: PrivateAnswering | None = None,
        indices: LiveIndices | None = None,
    ) -> None:
        self._node_id = node_id
        self._policy = policy
        self._rules = rules
        self._models = models
        self._indices = indices or LiveIndices(Indices(embedder=embedder, stores=stores))
        self._worker = worker
        self._masking = masking
        self._workers = workers
        self._alias_key = alias_key
        self._private = private
        self._open = [name for name in stores if name not in policy.under_dp()]
        self.remembers: Remembers | None = None

    @property
    def worker(self) -> InferenceWorker | None:
        """Who writes the answers; None on a node without a language model."""
        return self._worker

    @property
    def private(self) -> PrivateAnswering | None:
        """What answers in mode `dp`; None where no collection does."""
        return self._private

    def admit_private(self) -> str:
        """Takes a question in mode `dp` into account; a reason not to answer it, or nothing."""
        return self._policy.admit(AnswerMode.DP)[1]

    def describe(self) -> tuple[tuple[AnswerMode, ...], str, int]:
        """Allowed modes, embedder fingerprint, number of documents; of those under `dp` not even the number is said."""
        with self._indices.using() as now:
            number = sum(now.stores[name].count() for name in self._open)
            return self._policy.modes(), now.embedder.fingerprint, number

    @property
    def indices(self) -> LiveIndices:
        """What is searched, and may change over."""
        return self._indices

    @property
    def stores(self) -> Mapping[str, DocumentStore]:
        """The index of each collection."""
        return self._indices.stores

    def ingest(self, folders: Mapping[str, Path]) -> None:
        """Brings each named collection up to date with its folder. Blocking."""
        for name, folder in folders.items():
            self.stores[name].ingest([folder], remove_missing=True)

    def look_up(self, question: str, number: int) -> list[str]:
        """Texts of the best passages, best first; for training on this node. Blocking.

        Collections under `dp` have none to give: what is trained on them would speak of them without a bound.
        """
        with self._indices.using() as now:
            vector = now.embedder.embed([question])[0]
            hits = [
                hit
                for name in self._open
                for hit in now.stores[name].search_vector(vector, question, number, RetrievalMode.DENSE)
            ]
        return [hit.text for hit in sorted(hits, key=lambda hit: -hit.score)[:number]]

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors [texts, dimension]. Blocking."""
        return self.embedder.embed(texts)

    @property
    def embedder(self) -> Embedder:
        """What questions and passages are compared by now."""
        return self._indices.now.embedder

    def voters(self) -> dict[str, Voter]:
        """Who counts in the topic profile, by unit: a document, or a person of a collection under `dp`. Blocking."""
        under_dp = self._policy.under_dp()
        found: dict[str, list[Voter]] = {}
        with self._indices.using() as now:
            for name, store in now.stores.items():
                collection = under_dp.get(name)
                for document_id, vector in store.document_vectors().items():
                    unit = unit_name(collection, document_id) if collection else f"open:{name}/{document_id}"
                    found.setdefault(unit, []).append(Voter(name, vector, pays=collection is not None))
        return {unit: united(voters) for unit, voters in found.items()}

    def snapshot(self) -> str:
        """Names the state of every index, such as `documents@12`."""
        return " ".join(f"{name}@{store.revision()}" for name, store in sorted(self.stores.items()))

    async def answer(self, ask: Ask) -> NodeAnswer:
        """A released answer, a retrieval-only reply, or the reason why nothing is released."""
        names, reason = self._policy.admit(ask.answer_mode)
        if reason:
            return self._withheld(ask, reason)
        if ask.answer_mode is AnswerMode.DP:
            return await self._private.answer(ask) if self._private else self._withheld(ask, "mode_not_allowed")
        for _ in range(_ATTEMPTS):
            answer, found = await self._attempt(names, ask)
            if await asyncio.get_running_loop().run_in_executor(self._workers, self._are_still_here, found):
                if self.remembers:
                    await self.remembers.remember(ask, answer, found[: self._models.context_passages])
                return answer
        return self._withheld(ask, "documents_changed")

    def _are_still_here(self, found: Sequence[Found]) -> bool:
        """Whether nothing that an answer was made from has been deleted or changed since it was found.

        An index that is no longer searched cannot tell: what was deleted since is still in it.
        """
        with self._indices.using() as now:
            return all(now.stores[item.collection] is item.index for item in found) and all(
                now.stores[name].holds(item.hit.chunk_id for item in found if item.collection == name)
                for name in {item.collection for item in found}
            )

    async def _attempt(self, names: Sequence[str], ask: Ask) -> tuple[NodeAnswer, list[Found]]:
        """An answer, and all that was found for it."""
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        with stage("search"):
            vector, found, scores = await loop.run_in_executor(self._workers, self._search, names, ask)
        timings = {"search": _ms_since(started)}
        citations = self._cite(found)
        if ask.retrieve_only:
            sources = NodeAnswer(node_id=self._node_id, mode=ask.answer_mode, citations=citations, timings_ms=timings)
            return scores.noted(sources), found
        evidence = max((item.hit.score for item in found), default=-1.0)
        if evidence < self._rules.min_evidence:
            return self._withheld(ask, "no_evidence", timings), found
        if self._worker is None:
            return self._withheld(ask, "no_language_model", timings), found
        return scores.noted(await self._write(self._worker, ask, vector, found, evidence, citations, timings)), found

    def _search(self, names: Sequence[str], ask: Ask) -> tuple[FloatArray, list[Found], Scores]:
        """The question's vector, and the `top_k` best over the named collections; their cosines compare."""
        with self._indices.using() as now:
            vector = now.embedder.embed([ask.question])[0]
            found = [
                Found(name, hit, now.stores[name])
                for name in names
                for hit in now.stores[name].search_vector(vector, ask.question, ask.top_k, ask.retrieval)
            ]
        if len(names) > 1:
            found.sort(key=lambda item: -item.hit.score)
        return vector, found[: ask.top_k], Scores(now.embedder.fingerprint, now.scale)

    async def _write(
        self,
        worker: InferenceWorker,
        ask: Ask,
        vector: FloatArray,
        found: Sequence[Found],
        evidence: float,
        citations: tuple[Citation, ...],
        timings: dict[str, float],
    ) -> NodeAnswer:
        loop = asyncio.get_running_loop()
        context = [item.hit.text for item in found[: self._models.context_passages]]
        with stage("mask"):
            masked = await loop.run_in_executor(self._workers, self._as_shown, context, ask)
        started = time.perf_counter()
        request = GenerationRequest(
            question=ask.question,
            passages=masked.shown,
            max_new_tokens=self._models.max_new_tokens,
            question_vector=vector,
        )
        written = await worker.generate(request)
        timings["generate"] = _ms_since(started)
        started = time.perf_counter()
        draft = Draft(text=written.text, evidence=evidence)
        raw = [item.hit.text for item in found]
        redactor = self._masking.checking(written.text, masked)
        with stage("redaction"):
            outcome = await loop.run_in_executor(
                self._workers, release, draft, self._release_rules(ask), redactor, [*raw, *masked.shown]
            )
        timings["release"] = _ms_since(started)
        if isinstance(outcome, Withheld):
            return self._withheld(ask, outcome.reason, timings)
        return self._released(ask, outcome.text, outcome.redactions, written, evidence, citations, timings)

    def _as_shown(self, passages: Sequence[str], ask: Ask) -> Masked:
        """What the model reads of them."""
        masked = Masked(shown=tuple(passages), words=frozenset())
        if ask.answer_mode is not AnswerMode.NONE:
            masked = self._masking.mask(passages, ask.question)
        if self._rules.document_orders == "keep":
            return masked
        data = (as_data(text, ask.question) for text in masked.shown)
        return replace(masked, shown=tuple(text for text in data if text))

    def _release_rules(self, ask: Ask) -> ReleaseRules:
        return ReleaseRules(
            mode=ask.answer_mode,
            entity_types=self._rules.entity_types,
            min_evidence=self._rules.min_evidence,
            verbatim_limit_tokens=self._rules.verbatim_limit_tokens,
        )

    def _released(
        self,
        ask: Ask,
        text: str,
        redactions: Mapping[str, int],
        written: Generation,
        evidence: float,
        citations: tuple[Citation, ...],
        timings: dict[str, float],
    ) -> NodeAnswer:
        return NodeAnswer(
            node_id=self._node_id,
            mode=ask.answer_mode,
            text=text,
            score=answer_score(evidence, written.token_logprob),
            token_logprob=written.token_logprob,
            prompt_version=written.prompt_version,
            redactions=redactions,
            citations=citations,
            timings_ms=timings,
        )

    def _withheld(self, ask: Ask, reason: str, timings: Mapping[str, float] | None = None) -> NodeAnswer:
        return NodeAnswer(node_id=self._node_id, mode=ask.answer_mode, withheld=reason, timings_ms=timings or {})

    def forget(self, passages: Sequence[str]) -> None:
        """Forgets what is remembered beside the index of passages that are deleted. Blocking."""
        self._masking.forget(passages)

    def resolve(self, aliases: Collection[str]) -> dict[str, str]:
        """Which documents stand behind pseudonyms, as `collection/id`. For the node's operator alone. Blocking."""
        named = {
            document_alias(self._alias_key, name, info.document_id): f"{name}/{info.document_id}"
            for name in self._open
            for info in (self.stores[name].list_documents() if aliases else ())
        }
        return {alias: named[alias] for alias in aliases if alias in named}

    def _cite(self, found: Sequence[Found]) -> tuple[Citation, ...]:
        """One citation a document, with the cosine of its best chunk, in the order of the hits."""
        if self._rules.cite == "none":
            return ()
        best: dict[str, float] = {}
        for item in found:
            alias = document_alias(self._alias_key, item.collection, item.hit.document_id)
            best[alias] = max(best.get(alias, -1.0), item.hit.score)
        return tuple(Citation(document_alias=alias, score=score) for alias, score in best.items())


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
