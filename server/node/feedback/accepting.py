"""Corrections become examples: joined with the passages that the answer was made from, in the data set `feedback`."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import structlog

from frag.errors import BadRequestError, FragError, NotFoundError
from frag.feedback_settings import FeedbackSettings
from frag.policy_settings import CollectionSettings
from frag.types import RetrievalMode
from prompt_tuning.dataset import Example, make_example
from server.node.datasets import Datasets
from server.node.feedback.quarantine import MAX_PENDING, Held, Quarantine, State
from server.node.feedback.questions import Passage, digest_of
from server.node.indices import LiveIndices
from server.node.private_answering import unit_name
from server.node.training.forgetting import Traces, TrainingMemory

DATASET = "feedback"
_LOOKED_THROUGH = 20
_UNDER_WAY: tuple[State, ...] = ("pending", "accepted")
_log = structlog.get_logger()


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What became of feedback, by its number: `accepted`, `rejected`, or why it stays as it is."""

    outcomes: dict[int, str]
    num_examples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """Blocking; one thread at a time.

    Args:
        settings: Whose corrections are accepted, and how many.
        quarantine: Where they wait.
        datasets: Of the node.
        memory: What deletions look through; while it joins, nothing is forgotten.
        indices: What the node searches now.
        collections: Those whose documents may be trained on: none under mode `dp`.
    """

    settings: FeedbackSettings
    quarantine: Quarantine
    datasets: Datasets
    memory: TrainingMemory
    indices: LiveIndices
    collections: Mapping[str, CollectionSettings]

    def by_policy(self) -> int:
        """Accepts what the policy lets in without its operator; returns how many."""
        groups: list[list[Held]] = []
        num_keys = 1
        if self.settings.accept == "agreeing":
            num_keys = self.settings.agreeing_keys
            groups = self.quarantine.agreeing(num_keys)
        elif self.settings.accept == "trusted":
            groups = [[h] for key in self.settings.trusted for h in reversed(self.quarantine.held("pending", key))]
        outcomes = [outcome for group in groups for outcome in self._accept(group, num_keys).values()]
        return outcomes.count("accepted")

    def accept(self, ids: Sequence[int]) -> Decided:
        """Accepts pending corrections. Raises DatasetError, NotReadyError."""
        outcomes = dict.fromkeys(ids, "not_found")
        for held in self.quarantine.named(ids):
            outcomes |= self._accept([held]) if held.state == "pending" else {held.remark_id: f"is_{held.state}"}
        return Decided(outcomes=outcomes, num_examples=self._num_examples())

    def reject(self, ids: Sequence[int]) -> Decided:
        """Rejects corrections; what was accepted leaves the data set again. Raises DatasetError, NotReadyError."""
        found = self.quarantine.named(ids)
        outcomes = dict.fromkeys(ids, "not_found") | {held.remark_id: "rejected" for held in found}
        examples = {held.example_id for held in found if held.example_id}
        with self.memory.joining():
            if examples:
                with suppress(NotFoundError):
                    self.datasets.keep(DATASET, lambda example: example.example_id not in examples)
            self.quarantine.decide([held.remark_id for held in found], "rejected", "by_operator")
        return Decided(outcomes=outcomes, num_examples=self._num_examples())

    def of_key(self, key: str) -> list[int]:
        """Numbers of what a key said and may still be decided, oldest first. Raises BadRequestError."""
        if len(key) != 32 or not set(key) <= set("0123456789abcdef"):
            raise BadRequestError("A key is given by its pseudonym, 32 hex digits.", "`frag node feedback list`.")
        held = [h for state in _UNDER_WAY for h in self.quarantine.held(state, key, MAX_PENDING)]
        return sorted(item.remark_id for item in held)

    def without_documents(self) -> list[int]:
        """Numbers of what waits and speaks of documents that are here no more."""
        waiting = self.quarantine.held("pending", limit=MAX_PENDING)
        return [held.remark_id for held in waiting if not any(map(self._is_here, held.passages))]

    def forget(self, traces: Traces) -> None:
        """Rejects what waits and holds text of documents that are deleted. Raises NotReadyError."""
        waiting = self.quarantine.held("pending", limit=MAX_PENDING)
        told = [h.remark_id for h in waiting if traces.found_in(h.correction) or traces.found_in(h.question)]
        if told:
            self.quarantine.decide(told, "rejected", "document_deleted")

    def _is_here(self, passage: Passage) -> bool:
        with self.indices.using() as now:
            store = now.stores.get(passage.collection)
            return store is not None and passage.document_id in store.names_under(passage.document_id)

    def _accept(self, group: Sequence[Held], num_keys: int = 1) -> dict[int, str]:
        """One example of corrections that say the same, if so many keys may still add one.

        It is durable before that is noted: a process that dies in between makes the same one again.
        """
        within = [h for h in group if self.quarantine.num_accepted(h.key) < self.settings.examples_per_key]
        waiting = dict.fromkeys((held.remark_id for held in group), "key_has_enough")
        if len({held.key for held in within}) < num_keys:
            return waiting
        ids = [held.remark_id for held in within]
        with self.memory.joining():
            example = self._example(within[0])
            if example is None:
                self.quarantine.decide(ids, "rejected", "passages_gone")
                return waiting | dict.fromkeys(ids, "passages_gone")
            self.datasets.extend(DATASET, [example])
            self.quarantine.decide(ids, "accepted", example=example.example_id)
        _log.info("feedback_accepted", corrections=len(ids))
        return waiting | dict.fromkeys(ids, "accepted")

    def _example(self, held: Held) -> Example | None:
        """None when nothing is left of the documents that the answer was made from."""
        passages = [passage for passage in held.passages if passage.collection in self.collections]
        for first in passages:
            texts = [
                text for p in passages if _document(p) == _document(first) and (text := self._text(p, held.question))
            ]
            if texts:
                # one document alone: it is the unit that private training protects
                unit = unit_name(self.collections[first.collection], first.document_id)
                answers = (held.correction,)
                return make_example(
                    question=held.question, answers=answers, passages=tuple(dict.fromkeys(texts)), unit=unit
                )
        return None

    def _text(self, passage: Passage, question: str) -> str:
        """The passage; where the document was changed since, what it now has for the question; else nothing."""
        with self.indices.using() as now:
            store = now.stores[passage.collection]
            texts = store.texts([passage.document_id])
            found = next((text for text in texts if digest_of(text) == passage.digest), "")
            if found or not texts:
                return found
            vector = now.embedder.embed([question])[0]
            hits = store.search_vector(vector, question, _LOOKED_THROUGH, RetrievalMode.DENSE)
        return next((hit.text for hit in hits if hit.document_id == passage.document_id), texts[0])

    def _num_examples(self) -> int:
        try:
            return self.datasets.info(DATASET).num_examples
        except NotFoundError:
            return 0


def _document(passage: Passage) -> tuple[str, str]:
    return passage.collection, passage.document_id


def settle(acceptance: Acceptance) -> int:
    """Accepts by policy; what stands in the way is logged by its code and tried again the next time."""
    try:
        return acceptance.by_policy()
    except FragError as error:
        _log.warning("feedback_waits", code=error.code)
        return 0
