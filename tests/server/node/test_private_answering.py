"""Mode `dp` at a node, with a real index, a real ledger and a language model that tells what it was given."""

import math
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from frag.errors import LedgerError, SettingsError
from frag.policy_settings import CollectionSettings, DpSettings, PolicySettings
from frag.privacy.accounting import decoding_rho, rho_within
from frag.privacy.dp_decoding import DecodingRule
from frag.privacy.ledger import Ledger
from frag.privacy.patterns import PatternRedactor
from frag.settings import NodeSettings
from frag.types import Adaptation, AnswerMode, Document, GenerationRequest, Hit, Place, RetrievalMode
from retrievers.store import DocumentStore
from server.node.inference import InferenceWorker
from server.node.private_answering import PrivateAnswering, best_passages, decoding_rule
from server.wire.messages import Ask
from tests.doubles import HashingEmbedder

SETTINGS = DpSettings(epsilon=2.0, questions=2, min_evidence=0.3)
QUESTION = "Where does the porter keep the keys?"
KEYS = Document(document_id="ann/keys.txt", text="The porter keeps the keys behind the door.")
MORE = Document(document_id="ann/more.txt", text="Where does the porter keep the keys? In Ann's room.")
BOB = Document(document_id="bob/keys.txt", text="The porter does keep the keys with bob@example.org.")
SNOW = Document(document_id="eve/snow.txt", text="Snow falls softly over seven silent mountains.")


class TellingModel:
    """Writes nothing; records what it was given."""

    name = "telling"

    def __init__(self, text: str = "behind the door") -> None:
        self.text = text
        self.given: list[tuple[tuple[str, ...], DecodingRule, Adaptation | None]] = []

    def check(self, adaptation: Adaptation) -> None: ...

    def write_privately(
        self,
        request: GenerationRequest,
        references: Sequence[str],
        rule: DecodingRule,
        is_cancelled: Callable[[], bool],
        adaptation: Adaptation | None,
    ) -> str:
        assert request.passages == ()
        self.given.append((tuple(references), rule, adaptation))
        return self.text


@asynccontextmanager
async def node(
    folder: Path, documents: Sequence[Document], model: TellingModel, unit: str = ""
) -> AsyncIterator[tuple[PrivateAnswering, InferenceWorker]]:
    collection = CollectionSettings(name="notes", folder=folder, unit=unit)
    embedder = HashingEmbedder()
    ledger = Ledger.open(folder / "ledger.db")
    with ThreadPoolExecutor(2) as workers, DocumentStore.open(folder / "notes", embedder) as store:
        store.ingest(documents, remove_missing=True)
        async with InferenceWorker(lambda: model, 4, 0.0) as worker:
            yield (
                PrivateAnswering(
                    node_id="alpha",
                    settings=SETTINGS,
                    collections=[collection],
                    stores={"notes": store},
                    embedder=embedder,
                    worker=worker,
                    redactor=PatternRedactor(("EMAIL_ADDRESS",)),
                    ledger=ledger,
                    workers=workers,
                ),
                worker,
            )
    ledger.close()


def ask(*, retrieve_only: bool = False) -> Ask:
    return Ask(
        request_id=1,
        question=QUESTION,
        top_k=5,
        answer_mode=AnswerMode.DP,
        retrieval=RetrievalMode.DENSE,
        retrieve_only=retrieve_only,
        deadline_s=10.0,
    )


async def test_each_document_above_the_floor_speaks_once_and_pays(tmp_path: Path) -> None:
    model = TellingModel()
    async with node(tmp_path, [KEYS, BOB, SNOW], model) as (answering, _):
        answer = await answering.answer(ask())
    assert answer.text == "behind the door"
    ((references, rule, _),) = model.given
    assert sorted(references) == [
        "The porter does keep the keys with <EMAIL_ADDRESS_1>.",
        "The porter keeps the keys behind the door.",
    ]
    ledger = Ledger.open(tmp_path / "ledger.db")
    assert ledger.spent_by("document:notes/ann/keys.txt") == pytest.approx(rule.rho)
    assert ledger.spent_by("document:notes/eve/snow.txt") == 0.0


async def test_a_person_speaks_once_through_the_best_of_all_documents(tmp_path: Path) -> None:
    model = TellingModel()
    async with node(tmp_path, [KEYS, MORE, BOB], model, unit=r"^([^/]+)/") as (answering, _):
        await answering.answer(ask())
    assert len(model.given[0][0]) == 2
    assert MORE.text in model.given[0][0], "the closest of Ann's two"
    assert Ledger.open(tmp_path / "ledger.db").spent_by("person:ann") > 0


async def test_a_spent_budget_stays_spent_also_after_deletion_and_return(tmp_path: Path) -> None:
    model = TellingModel()
    for documents in ([KEYS], [KEYS], [], [KEYS], [replace(KEYS, text=KEYS.text + " Really.")]):
        async with node(tmp_path, documents, model) as (answering, _):
            assert (await answering.answer(ask())).text, "an answer always comes"
    assert [len(references) for references, _, _ in model.given] == [1, 1, 0, 0, 0]


async def test_decoding_and_keywords_spend_one_budget(tmp_path: Path) -> None:
    model = TellingModel()
    async with node(tmp_path, [KEYS], model) as (answering, _):
        assert answering.rho == pytest.approx(rho_within(2.0, 1e-5) / 2)
        rho = answering.rho * (1 - 1e-9)
        assert answering.paid_passages(QUESTION, rho, "q1") == [KEYS.text]
        await answering.answer(ask())
        assert answering.paid_passages(QUESTION, rho, "q2") == []
        await answering.answer(ask())
    assert [len(references) for references, _, _ in model.given] == [1, 0]


async def test_an_answer_shows_nothing_but_its_text(tmp_path: Path) -> None:
    """Whoever compares two answers of one text cannot tell whether there were documents."""
    with_units = tmp_path / "with"
    without = tmp_path / "without"
    answers = []
    for folder, documents in ((with_units, [KEYS, BOB]), (without, [])):
        folder.mkdir()
        async with node(folder, documents, TellingModel()) as (answering, _):
            answers.append(await answering.answer(ask()))
    assert answers[0] == answers[1]
    assert (answers[0].epsilon, answers[0].delta) == (2.0, 1e-5)
    assert not answers[0].citations
    assert not answers[0].timings_ms


async def test_no_words_are_still_an_answer(tmp_path: Path) -> None:
    async with node(tmp_path, [KEYS], TellingModel("  ")) as (answering, _):
        assert (await answering.answer(ask())).text == "No answer."


async def test_what_retrieval_finds_is_never_shown(tmp_path: Path) -> None:
    async with node(tmp_path, [KEYS], TellingModel()) as (answering, _):
        assert (await answering.answer(ask(retrieve_only=True))).withheld == "not_under_dp"
    assert Ledger.open(tmp_path / "ledger.db").summary() == []


async def test_without_a_durable_charge_nothing_is_generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = TellingModel()

    def refuse(*_args: object) -> list[str]:
        raise LedgerError("The ledger could not be written.")

    monkeypatch.setattr(Ledger, "charge", refuse)
    async with node(tmp_path, [KEYS], model) as (answering, _):
        with pytest.raises(LedgerError):
            await answering.answer(ask())
    assert not model.given


@pytest.mark.parametrize(("epsilon", "used"), [(math.inf, False), (0.0, True), (1.5, True)])
async def test_a_live_prompt_speaks_only_under_a_bound_of_its_own(
    tmp_path: Path, epsilon: float, *, used: bool
) -> None:
    live = Adaptation(
        method="template", settings={}, place=Place.AFTER, tensors={}, base_model="", layout="", version="v1",
        epsilon=epsilon, delta=1e-6 if epsilon else 0.0,
    )  # fmt: skip
    model = TellingModel()
    async with node(tmp_path, [], model) as (answering, worker):
        await worker.go_live(live)
        answer = await answering.answer(ask())
    assert model.given[0][2] is (live if used else None)
    assert answer.prompt_version == ("v1" if used else "")
    assert answer.epsilon == (2.0 + epsilon if used else 2.0)


def test_the_rule_spends_the_budget_in_as_many_answers() -> None:
    rule = decoding_rule(SETTINGS)
    budget = rho_within(2.0, 1e-5)
    assert rule.rho == decoding_rho(rule.clip, 8, 1.1, 32)
    assert budget - 1e-6 < 2 * rule.rho <= budget


def test_among_equals_the_first_document_speaks() -> None:
    def hit(document_id: str, score: float) -> Hit:
        return Hit(
            chunk_id=1, document_id=document_id, start_char=0, end_char=1, text=document_id, score=score, rank_score=0
        )

    letters = CollectionSettings(name="letters", folder=Path(), unit=r"^(\w+)/")
    notes = CollectionSettings(name="notes", folder=Path(), unit=r"^(\w+)/")
    found = best_passages(
        [(notes, [hit("ann/2", 0.5), hit("ann/1", 0.5)]), (letters, [hit("ann/3", 0.6), hit("x", 1)])]
    )
    assert found == [("document:letters/x", "letters", "x"), ("person:ann", "letters", "ann/3")]


def test_a_collection_under_dp_answers_in_no_weaker_mode(tmp_path: Path) -> None:
    def settings(*modes: AnswerMode, own: tuple[AnswerMode, ...] | None = None) -> NodeSettings:
        return NodeSettings(
            node_id="alpha",
            coordinator_url="http://127.0.0.1:1",
            policy=PolicySettings(answer_modes=modes),
            collections=(CollectionSettings(name="notes", folder=tmp_path, answer_modes=own),),
        )

    assert settings(AnswerMode.DP).collections
    assert settings(AnswerMode.DP, AnswerMode.SCRUB, own=(AnswerMode.DP,)).collections
    with pytest.raises(ValueError, match="voids the claim of dp"):
        settings(AnswerMode.DP, AnswerMode.SCRUB)


@pytest.mark.parametrize("pattern", ["(", "no group"])
def test_a_pattern_that_names_nobody_is_refused(pattern: str) -> None:
    with pytest.raises((ValueError, SettingsError), match="unit"):
        CollectionSettings(name="notes", folder=Path(), unit=pattern)
