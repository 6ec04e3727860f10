"""What becomes of corrections at a node: whose become examples, how many, and what deletion and time do to them."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from frag.errors import (
    BadRequestError,
    ConflictError,
    FeedbackExpiredError,
    NotFoundError,
    NotReadyError,
    RateLimitedError,
    SealingError,
    SettingsError,
)
from frag.feedback import Remark
from frag.feedback_settings import FeedbackSettings
from frag.policy_settings import CollectionSettings
from server.node.feedback import quarantine
from server.node.feedback.quarantine import Quarantine
from server.node.feedback.questions import Asked, Passage, Questions
from server.node.feedback.tables import connect
from tests.server.node.feedback.silo import ABOUT_BOILER, BOILER, CRANE, Silo, node_folder, silo

FLOODER = b"flooding key 016"
KEYS = [f"honest key {number:05}".encode() for number in range(5)]
DOCUMENTS = {"boiler.txt": BOILER, "crane.txt": CRANE}


def query_id(number: int) -> str:
    return f"{number:032x}"


async def ask_and_tell(
    node: Silo, number: int, correction: str, key: bytes = KEYS[0], question: str = ABOUT_BOILER
) -> None:
    await node.asked(query_id(number), question)
    await node.told(query_id(number), correction, key=key)


async def settled(node: Silo) -> None:
    """The policy has looked at everything that was taken."""
    for _ in range(200):
        await asyncio.sleep(0.005)
        if not node.feedback._due.is_set():
            break
    await asyncio.get_running_loop().run_in_executor(node.feedback._deciding, lambda: None)


async def test_a_flood_from_one_key_changes_nothing_that_is_trained_on(tmp_path: Path) -> None:
    options = {"accept": "agreeing", "agreeing_keys": 2, "per_key_per_day": 20}
    async with silo(node_folder(tmp_path), DOCUMENTS, feedback=options) as node:
        for number in range(20):
            await ask_and_tell(node, number, "The boiler is never inspected.", FLOODER)
        with pytest.raises(RateLimitedError):
            await ask_and_tell(node, 20, "The boiler is never inspected.", FLOODER)
        await ask_and_tell(node, 30, "Every Monday.", KEYS[0])
        await settled(node)
        assert node.num_examples() == 0, "twenty times the same of one key is one voice"
        await ask_and_tell(node, 31, "every  monday", KEYS[1])
        await settled(node)
        (example,) = node.datasets.load("feedback")
        assert (example.answers, example.unit) == (("Every Monday.",), "document:notes/boiler.txt")
        assert {h.state for h in await node.feedback.listed(100) if h.key == FLOODER.hex()} == {"pending"}


async def test_one_question_is_amended_within_the_same_limit(tmp_path: Path) -> None:
    async with silo(node_folder(tmp_path), DOCUMENTS, feedback={"per_key_per_day": 3}) as node:
        await ask_and_tell(node, 1, "Mondays.", FLOODER)
        for said in ("Tuesdays.", "Wednesdays."):
            await node.told(query_id(1), said, key=FLOODER)
        with pytest.raises(RateLimitedError):
            await node.told(query_id(1), "Thursdays.", key=FLOODER)
        assert [held.correction for held in await node.feedback.listed(10)] == ["Wednesdays."]


async def test_ratings_are_taken_where_too_many_corrections_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_PENDING", 1)
    async with silo(node_folder(tmp_path), DOCUMENTS) as node:
        await ask_and_tell(node, 1, "Mondays.", KEYS[0])
        with pytest.raises(NotReadyError):
            await ask_and_tell(node, 2, "Tuesdays.", KEYS[1])
        await ask_and_tell(node, 3, "", KEYS[1])
        assert {held.state for held in await node.feedback.listed(10)} == {"pending", "noted"}


async def test_a_flooder_that_has_enough_does_not_hold_up_those_who_agree(tmp_path: Path) -> None:
    options = {"accept": "agreeing", "agreeing_keys": 2, "examples_per_key": 1}
    async with silo(node_folder(tmp_path), DOCUMENTS, feedback=options) as node:
        await ask_and_tell(node, 1, "Mondays.", FLOODER)
        await ask_and_tell(node, 2, "Mondays.", KEYS[0])
        await settled(node)
        assert node.num_examples() == 1
        await ask_and_tell(node, 3, "Each Monday.", FLOODER)
        await ask_and_tell(node, 4, "Each Monday.", KEYS[1])
        await settled(node)
        assert node.num_examples() == 1, "the flooder's voice is spent, and one is left"
        await ask_and_tell(node, 5, "Each Monday.", KEYS[2])
        await settled(node)
        assert node.num_examples() == 2


async def test_corrections_of_a_trusted_key_are_accepted_by_themselves_up_to_its_bound(tmp_path: Path) -> None:
    options = {"accept": "trusted", "trusted": [KEYS[0].hex()], "examples_per_key": 3}
    async with silo(node_folder(tmp_path), DOCUMENTS, feedback=options) as node:
        for number in range(5):
            await ask_and_tell(node, number, f"Answer {number}", KEYS[0])
            await ask_and_tell(node, 10 + number, f"Answer {number}", KEYS[1])
        await settled(node)
        assert [example.answers for example in node.datasets.load("feedback")] == [(f"Answer {n}",) for n in range(3)]


async def test_the_operator_accepts_and_rejects_by_number_and_all_of_a_key(tmp_path: Path) -> None:
    async with silo(node_folder(tmp_path), DOCUMENTS) as node:
        for number in range(4):
            await ask_and_tell(node, number, f"Answer {number}", KEYS[number % 2])
        await settled(node)
        first, second, third, fourth = sorted(held.remark_id for held in await node.feedback.listed(10))
        decided = await node.feedback.accept([first, second, 999])
        assert (decided.outcomes, decided.num_examples) == (
            {first: "accepted", second: "accepted", 999: "not_found"},
            2,
        )
        assert (await node.feedback.accept([first])).outcomes == {first: "is_accepted"}
        decided = await node.feedback.reject([], KEYS[0].hex())
        assert (decided.outcomes, decided.num_examples) == ({first: "rejected", third: "rejected"}, 1)
        assert [example.answers for example in node.datasets.load("feedback")] == [("Answer 1",)]
        assert (await node.feedback.reject([second])).num_examples == 0
        with pytest.raises(BadRequestError):
            await node.feedback.reject([], "everybody")
        assert [held.state for held in await node.feedback.listed(10)] == ["pending", *["rejected"] * 3]
        assert fourth == (await node.feedback.listed(1))[0].remark_id


async def test_what_is_decided_holds_no_text_any_more(tmp_path: Path) -> None:
    async with silo(node_folder(tmp_path), DOCUMENTS) as node:
        await ask_and_tell(node, 1, "The secret word is zirconium.")
        (held,) = await node.feedback.listed(10)
        await node.feedback.reject([held.remark_id])
        files = list(tmp_path.glob("feedback.db*"))
        assert files
        assert not any(b"zirconium" in path.read_bytes() for path in files)
        assert all(path.stat().st_mode & 0o077 == 0 for path in files if path.suffix == ".db")


async def test_deleting_a_document_takes_its_examples_and_what_waits_about_it(tmp_path: Path) -> None:
    async with silo(node_folder(tmp_path), DOCUMENTS) as node:
        await ask_and_tell(node, 1, "Every Monday.")
        await ask_and_tell(node, 2, "Twelve tonnes.", question="What does the crane in hall seven lift?")
        await ask_and_tell(node, 3, "On Mondays.")
        await settled(node)
        numbers = {held.correction: held.remark_id for held in await node.feedback.listed(10)}
        await node.feedback.accept([numbers["Every Monday."], numbers["Twelve tonnes."]])
        assert node.num_examples() == 2
        shelf = node.state.shelves["notes"]
        deleted = await asyncio.to_thread(shelf.delete, "boiler.txt")
        assert deleted.training.datasets == {"feedback": 1}
        assert [example.answers for example in node.datasets.load("feedback")] == [("Twelve tonnes.",)]
        assert (await node.feedback.accept([numbers["On Mondays."]])).outcomes == {
            numbers["On Mondays."]: "passages_gone"
        }
        assert node.num_examples() == 1


async def test_what_waits_about_a_document_that_went_while_the_node_was_away_is_rejected(tmp_path: Path) -> None:
    async with silo(node_folder(tmp_path), DOCUMENTS) as node:
        await ask_and_tell(node, 1, "On Mondays.")
    (tmp_path / "documents" / "boiler.txt").unlink()
    async with silo(node_folder(tmp_path), {}) as node:
        await settled(node)
        (held,) = await node.feedback.listed(10)
        assert (held.state, held.reason, held.correction) == ("rejected", "passages_gone", "")


async def test_a_correction_of_a_document_that_was_changed_is_joined_with_what_it_says_now(tmp_path: Path) -> None:
    async with silo(node_folder(tmp_path), DOCUMENTS) as node:
        await ask_and_tell(node, 1, "On Tuesdays.")
        changed = BOILER.replace("Monday", "Tuesday")
        (tmp_path / "documents" / "boiler.txt").write_text(changed)
        await asyncio.to_thread(node.state.shelves["notes"].whole)
        (held,) = await node.feedback.listed(10)
        await node.feedback.accept([held.remark_id])
        (example,) = node.datasets.load("feedback")
        assert example.passages == (changed,)


async def test_documents_that_came_under_dp_meanwhile_make_no_example(tmp_path: Path) -> None:
    async with silo(node_folder(tmp_path), DOCUMENTS) as node:
        await ask_and_tell(node, 1, "On Mondays.")
    private = CollectionSettings(name="notes", folder=tmp_path / "documents", answer_modes=("dp",))
    async with silo(node_folder(tmp_path), {}, answer_modes=["none", "dp"], collections=[private]) as node:
        (held,) = await node.feedback.listed(10)
        assert (await node.feedback.accept([held.remark_id])).outcomes == {held.remark_id: "passages_gone"}
        assert node.num_examples() == 0


async def test_of_one_key_the_last_word_counts_until_it_is_decided(tmp_path: Path) -> None:
    async with silo(node_folder(tmp_path), DOCUMENTS) as node:
        await ask_and_tell(node, 1, "First thought.")
        await node.told(query_id(1), "Second thought.", key=KEYS[0])
        (held,) = await node.feedback.listed(10)
        assert held.correction == "Second thought."
        await node.feedback.accept([held.remark_id])
        with pytest.raises(ConflictError):
            await node.told(query_id(1), "Third thought.", key=KEYS[0])


async def test_ratings_are_counted_by_prompt_version(tmp_path: Path) -> None:
    async with silo(node_folder(tmp_path), DOCUMENTS) as node:
        await node.asked(query_id(1))
        for key, rating in ((KEYS[0], 1), (KEYS[1], 1), (KEYS[2], -1)):
            await node.told(query_id(1), "", key=key, rating=rating)
        assert node.feedback.quarantine.ratings() == {"": {"up": 2, "down": 1, "neither": 0}}
        assert {held.state for held in await node.feedback.listed(10)} == {"noted"}


def remark(correction: str = "Right.") -> Remark:
    return Remark(author=bytes(32), issued_at=0, rating=-1, correction=correction)


ASKED = Asked("Why?", (Passage("notes", "a.txt", "0" * 32),), "v1", b"")


def test_the_same_envelope_is_taken_once(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "feedback.db", FeedbackSettings())
    quarantine.add(bytes(16), KEYS[0], b"envelope", ASKED, remark())
    with pytest.raises(SealingError) as caught:
        quarantine.add(bytes(16), KEYS[1], b"envelope", ASKED, remark())
    assert caught.value.code == "replayed"
    assert len(quarantine.held()) == 1
    quarantine.close()


def test_what_waits_for_too_long_is_rejected_without_its_text(tmp_path: Path) -> None:
    now = [1_000_000.0]
    quarantine = Quarantine(tmp_path / "feedback.db", FeedbackSettings(pending_days=2), lambda: now[0])
    quarantine.add(bytes(16), KEYS[0], b"envelope", ASKED, remark())
    now[0] += 2 * 86_400 - 1
    assert quarantine.sweep() == 0
    now[0] += 1
    assert quarantine.sweep() == 1
    (held,) = quarantine.held()
    assert (held.state, held.reason, held.correction) == ("rejected", "expired", "")
    now[0] += 91 * 86_400
    quarantine.sweep()
    assert quarantine.held() == []
    quarantine.close()


def test_what_was_taken_survives_a_kill(tmp_path: Path) -> None:
    script = f"""
import os, pathlib, signal, sys
from tests.server.node.feedback.test_deciding import ASKED, KEYS, remark
from frag.feedback_settings import FeedbackSettings
from server.node.feedback import quarantine
from server.node.feedback.quarantine import Quarantine
from server.node.feedback.questions import Questions
path = pathlib.Path({str(tmp_path / "feedback.db")!r})
questions, quarantine = Questions(path, 7), Quarantine(path, FeedbackSettings())
questions.remember(bytes(16), ASKED)
quarantine.add(bytes(16), KEYS[0], b"envelope", ASKED, remark())
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == -9
    questions, quarantine = (
        Questions(tmp_path / "feedback.db", 7),
        Quarantine(tmp_path / "feedback.db", FeedbackSettings()),
    )
    assert questions.recall(bytes(16)) == ASKED
    assert [held.correction for held in quarantine.held()] == ["Right."]
    questions.close()
    quarantine.close()


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    connection = connect(tmp_path / "feedback.db", durable=True)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SettingsError, match="later frag"):
        connect(tmp_path / "feedback.db", durable=True)


def test_questions_are_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    now = [1_000_000.0]
    questions = Questions(tmp_path / "feedback.db", 7, lambda: now[0], max_entries=3)
    for number in range(5):
        now[0] += 1
        questions.remember(bytes([number]) * 16, ASKED)
    questions.sweep()
    for number in range(2):
        with pytest.raises(NotFoundError):
            questions.recall(bytes([number]) * 16)
    assert questions.recall(bytes([2]) * 16) == ASKED
    now[0] += 7 * 86_400
    assert questions.sweep() == 3
    with pytest.raises(FeedbackExpiredError):
        questions.recall(bytes([2]) * 16)
    questions.close()
