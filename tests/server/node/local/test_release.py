"""What left is written down, and the operator's switch stops the rest."""

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from frag.errors import NotReadyError, ReleaseStoppedError
from frag.types import AnswerMode
from server.node.guarded import (
    GuardedAnswers,
    GuardedCarrier,
    GuardedKeywords,
    GuardedProfiles,
    GuardedSeals,
    GuardedTraining,
)
from server.node.journal import Entry, Journal
from server.node.operating import resume, stop
from server.node.preview import preview
from server.node.switch import ReleaseSwitch
from server.wire.messages import KeywordStage, KeywordTerms, Train, Trained
from tests.server.node.local.conftest import View, node_view, question_of

KEYS = "The porter keeps the brass keys behind the oak door of the chapel."
QUESTION = "Where does the porter keep the brass keys?"


async def test_every_answer_is_written_down_without_a_word_of_it(view: View) -> None:
    await view.put("keys.txt", KEYS)
    answer = await view.ask(QUESTION)
    await view.ask(QUESTION, retrieve_only=True)
    await view.ask("Why do mountains hum?")
    _, status = await view.call("GET", "/status")
    today = status["today"]
    assert (today["answers"], today["withheld"], today["others"]) == ({"none": 1}, {"no_evidence": 1}, {"sources": 1})
    assert (today["num_chars"], today["num_citations"], today["epsilon"]) == (len(answer.text), 2, 0.0)
    newest = today["newest"][-1]["entry"]
    assert newest["content_hash"] == view.gate.journal.hash_of(answer.text)
    stored = b"".join(path.read_bytes() for path in view.folder.folder.glob("journal.db*")).lower()
    for word in (b"porter", b"chapel", b"mountains"):
        assert word not in stored


async def test_a_refusal_by_policy_alone_is_not_written_down(view: View) -> None:
    assert (await view.ask(QUESTION, AnswerMode.DP)).withheld == "mode_not_allowed"
    assert view.gate.journal.newest(5) == []


async def test_many_answers_are_written_down_at_once(view: View) -> None:
    await view.put("keys.txt", KEYS)
    await asyncio.gather(*(view.ask(QUESTION) for _ in range(40)))
    verdict = view.gate.journal.verify()
    assert (verdict.num_entries, verdict.broken_at) == (40, None)


async def test_an_answer_stays_where_it_cannot_be_written_down(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    await view.put("keys.txt", KEYS)
    with sqlite3.connect(view.folder.journal) as other:
        other.execute("DROP TABLE entries")
    other.close()
    with pytest.raises(NotReadyError):
        await view.ask(QUESTION)


async def test_the_switch_holds_back_an_answer_under_way_and_outlives_the_process(view: View, tmp_path: Path) -> None:
    await view.put("keys.txt", KEYS)
    view.model.open.clear()
    asking = asyncio.create_task(view.ask(QUESTION))
    await asyncio.to_thread(view.model.reading.wait, 5)
    assert (await view.call("POST", "/release/stop", json={"reason": "audit"}))[0] == 200
    view.model.open.set()
    held = await asking
    assert (held.withheld, held.text, held.citations) == ("release_stopped", "", ())
    assert (await view.ask(QUESTION, retrieve_only=True)).withheld == "release_stopped"
    _, status = await view.call("GET", "/status")
    assert (status["release"]["stopped"], status["release"]["reason"]) == (True, "audit")
    stopped = ReleaseSwitch(view.folder.release_switch).stopped()
    assert stopped is not None
    await view.call("POST", "/release/resume", json={})
    assert (await view.ask(QUESTION)).text == KEYS
    kinds = [written.entry.kind for written in view.gate.journal.newest(9)]
    assert kinds == ["answer", "resumed", "stopped"]


async def test_the_command_line_stops_a_node_whose_api_is_away(view: View) -> None:
    """The file alone is enough: the node looks at it before every release."""
    await view.put("keys.txt", KEYS)
    ReleaseSwitch(view.folder.release_switch).stop()
    assert (await view.ask(QUESTION)).withheld == "release_stopped"
    async with asyncio.timeout(2):
        while not view.gate.stopped:
            await asyncio.sleep(0.02)
    ReleaseSwitch(view.folder.release_switch).resume()
    async with asyncio.timeout(2):
        while view.gate.stopped:
            await asyncio.sleep(0.02)
    assert (await view.ask(QUESTION)).text == KEYS


async def test_the_commands_reach_the_running_node(view: View) -> None:
    said = await asyncio.to_thread(stop, view.folder, "night")
    assert "nothing leaves" in said
    assert view.gate.stopped
    await asyncio.to_thread(resume, view.folder)
    assert not view.gate.stopped


async def test_a_switch_that_cannot_be_read_stops_release(view: View) -> None:
    view.folder.release_switch.write_bytes(b"{")
    await view.gate.look()
    assert view.gate.stopped


class Endless:
    """Training, an upload and a profile that take what time they like."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.brought: list[bytes] = []
        self.shown = 0

    def dataset_names(self) -> tuple[str, ...]:
        return ("qa",)

    def dataset_sizes(self) -> dict[str, int]:
        return {}

    async def train(self, request: Train, on_progress: object) -> Trained:
        try:
            await asyncio.sleep(60)
        finally:
            self.ended.set()
        raise AssertionError("not stopped")

    async def bring(self, ticket: str, content: bytes) -> None:
        self.brought.append(content)
        await asyncio.sleep(60 if content == b"slow" else 0)

    def current(self) -> str:
        self.shown += 1
        return "profile"

    def publish_if_due(self) -> None:
        raise AssertionError("published while stopped")


async def test_training_uploads_and_profiles_stop_too(view: View) -> None:
    parts = Endless()
    trains = GuardedTraining(inner=parts, gate=view.gate)  # type: ignore[arg-type]
    carrier = GuardedCarrier(inner=parts, gate=view.gate)  # type: ignore[arg-type]
    profiles = GuardedProfiles(inner=parts, gate=view.gate)  # type: ignore[arg-type]
    await carrier.bring("t", b"update")
    assert await asyncio.to_thread(profiles.current) == "profile"
    assert await asyncio.to_thread(profiles.current) == "profile"
    kinds = [written.entry.kind for written in view.gate.journal.newest(9)]
    assert kinds == ["profile", "upload"]

    training = asyncio.create_task(trains.train(None, None))  # type: ignore[arg-type]
    bringing = asyncio.create_task(carrier.bring("t", b"slow"))
    await asyncio.sleep(0.1)
    await view.gate.stop()
    for task in (training, bringing):
        with pytest.raises(ReleaseStoppedError):
            await asyncio.wait_for(task, 1)
    assert parts.ended.is_set()
    with pytest.raises(ReleaseStoppedError):
        await carrier.bring("t", b"later")
    assert b"later" not in parts.brought
    assert trains.dataset_names() == ()
    assert profiles.current() is None
    profiles.publish_if_due()


async def test_sealed_answers_and_votes_stop_too(view: View) -> None:
    class Parts:
        """A sealed reply and votes, during which the operator stops release; `terms` are of votes."""

        terms = KeywordTerms(rho=0.1, colluders=1, epsilon=8.0, delta=1e-5, is_pinned=False)

        async def answer(self, request: object) -> bytes:
            return await self.carry_out(request)

        async def carry_out(self, request: object) -> bytes:
            if stops:
                await view.gate.stop()
            return b"said"

    stops = False
    seals = GuardedSeals(inner=Parts(), gate=view.gate)  # type: ignore[arg-type]
    keywords = GuardedKeywords(inner=Parts(), gate=view.gate)  # type: ignore[arg-type]
    stage = KeywordStage(request_id=1, query_id="0" * 32, stage="masked", content=b"")
    assert await seals.answer(None) == await keywords.carry_out(stage) == b"said"  # type: ignore[arg-type]
    (votes,) = [written.entry for written in view.gate.journal.newest(9)]
    assert (votes.kind, votes.rho, votes.num_bytes) == ("votes", 0.1, 4)
    stops = True
    for work in (seals.answer(None), keywords.carry_out(stage)):  # type: ignore[arg-type]
        with pytest.raises(ReleaseStoppedError):
            await work
        await view.gate.resume()


async def test_a_stopped_node_does_not_even_say_how_many_documents_it_has(view: View) -> None:
    await view.put("keys.txt", KEYS)
    answers = GuardedAnswers(inner=view.answering, gate=view.gate)
    assert answers.describe()[2] == 1
    await view.gate.stop()
    assert answers.describe()[2] == 0


async def test_a_dry_run_is_what_would_be_released_and_leaves_no_trace(view: View) -> None:
    await view.put("keys.txt", f"{KEYS} Call 415-555-0132 or porter@example.org.")
    _, shown = await view.call("POST", "/dry-run", json={"question": QUESTION, "answer_mode": "none"})
    released = await view.ask(QUESTION)
    assert shown["reply"]["text"] == released.text
    (alias,) = [citation.document_alias for citation in released.citations]
    assert shown["sources"] == {alias: "notes/keys.txt"}
    _, masked = await view.call("POST", "/dry-run", json={"question": QUESTION})
    assert "porter@example.org" not in masked["reply"]["text"]
    assert len(view.gate.journal.newest(9)) == 1
    await view.gate.stop()
    _, held = await view.call("POST", "/dry-run", json={"question": QUESTION, "answer_mode": "none"})
    assert (held["release_stopped"], held["reply"]["text"]) == (True, released.text)


async def test_a_dry_run_in_mode_dp_shows_the_price_and_charges_nothing(tmp_path: Path) -> None:
    collections = [{"name": "people", "folder": "people", "unit": "^([^/]+)/"}]
    policy = {"answer_modes": ["dp"], "dp": {"epsilon": 2.0, "questions": 2, "min_evidence": 0.3}}
    async with node_view(tmp_path, collections, **policy) as view:
        for name in ("ann/a.txt", "ann/b.txt", "bob/a.txt"):
            await view.put(name, KEYS, "people")
        _, shown = await view.call("POST", "/dry-run", json={"question": QUESTION, "answer_mode": "dp"})
        assert (shown["reply"], shown["charge"]["num_units"]) == (None, 2)
        assert shown["charge"]["share_of_budget"] == pytest.approx(0.5, rel=1e-6)
        _, status = await view.call("GET", "/status")
        assert status["privacy"]["collections"] == []
        assert not view.model.reading.is_set()
        private = view.answering.private
        assert private is not None
        for able in (2, 2, 0):
            assert (
                await preview(view.answering, question_of(QUESTION, AnswerMode.DP), release_stopped=False)
            ).charge.num_units == able  # type: ignore[union-attr]
            await asyncio.to_thread(private.paid_passages, QUESTION, private.rho_of_an_answer, "")


async def test_what_mode_dp_spent_today_is_added_up(tmp_path: Path) -> None:
    from frag.privacy.accounting import epsilon_of_rho

    async with node_view(tmp_path) as view:
        for rho in (0.01, 0.02):
            await view.gate.record(Entry(kind="answer", mode="dp", rho=rho, epsilon=8.0, delta=1e-5))
        _, status = await view.call("GET", "/status")
        assert status["today"]["epsilon"] == pytest.approx(epsilon_of_rho(0.03, 1e-5))


def test_a_changed_entry_shows(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal.open(path)
    for number in range(5):
        journal.append([Entry(kind="answer", num_chars=number)])
    assert journal.verify().broken_at is None
    with sqlite3.connect(path) as other:
        other.execute("UPDATE entries SET body = ? WHERE entry_id = 3", (msgspec.json.encode(Entry(kind="withheld")),))
    other.close()
    assert journal.verify().broken_at == 3
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM entries WHERE entry_id = 3")
    other.close()
    assert journal.verify().broken_at == 4
    journal.close()


def test_old_entries_go_and_the_rest_still_holds(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal.open(path)
    journal.append([Entry(kind="answer"), Entry(kind="answer"), Entry(kind="answer")])
    journal.close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE entries SET at = '2001-01-01T00:00:00' WHERE entry_id = 1")
    other.close()
    kept = Journal.open(path, keep_days=30)
    verdict = kept.verify()
    assert (verdict.num_entries, verdict.broken_at) == (2, None)
    kept.close()


async def test_nothing_blocks_the_loop(view: View, unblocked_loop: object) -> None:
    with unblocked_loop():  # type: ignore[operator]
        await view.put("keys.txt", KEYS)
        await view.call("GET", "/status")
        await view.call("GET", "/journal")
        await GuardedAnswers(inner=view.answering, gate=view.gate).answer(question_of(QUESTION))
        await view.call("POST", "/release/stop", json={})
        await view.call("POST", "/release/resume", json={})
        await view.call("POST", "/dry-run", json={"question": QUESTION})
        await view.call("POST", "/compact")
        await view.delete("keys.txt")
