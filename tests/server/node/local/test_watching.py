"""The folder of a collection is followed by itself."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from frag.protocols import FloatArray, Progress
from retrievers.store import DocumentStore
from server.node.local import watching
from tests.doubles import HashingEmbedder
from tests.server.node.local.conftest import View, node_view

KEYS = "The porter keeps the brass keys behind the oak door of the chapel."
QUESTION = "Where does the porter keep the brass keys?"


@pytest.fixture
async def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[View]:
    monkeypatch.setattr(watching, "SETTLED_S", 0.5)
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "first.txt").write_text(KEYS)
    async with node_view(tmp_path, [{"name": "notes", "folder": "documents", "watch": True}]) as view:
        await until(lambda: view.found(QUESTION) == ["first.txt"])
        yield view


async def until(holds: Callable[[], bool], within_s: float = 8.0) -> float:
    started = time.monotonic()
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(holds):
            await asyncio.sleep(0.03)
    return time.monotonic() - started


async def test_what_is_added_changed_and_removed_follows_within_seconds(watched: View) -> None:
    folder = watched.documents
    (folder / "new.txt").write_text(f"{KEYS} Really.")
    (folder / "rooms").mkdir()
    (folder / "rooms" / "deep.md").write_text(f"{KEYS} Deeply.")
    assert await until(lambda: set(watched.found(QUESTION)) == {"first.txt", "new.txt", "rooms/deep.md"}) < 5
    (folder / "new.txt").write_text("Snow falls softly over seven silent mountains.")
    (folder / "first.txt").rename(folder / "renamed.txt")
    texts = watched.answering.stores["notes"].texts
    await until(lambda: texts(["new.txt"])[0].startswith("Snow") and texts(["renamed.txt"]) == [KEYS])
    (folder / "rooms").rename(folder.parent / "elsewhere")
    (folder / "new.txt").unlink()
    await until(lambda: watched.found(QUESTION) == ["renamed.txt"])
    _, status = await watched.call("GET", "/status")
    watch = status["collections"]["notes"]["watch"]
    assert (watch["watching"], watch["error"]) == (True, "")
    assert watch["last_change_at"]


async def test_a_file_that_is_being_written_is_not_taken_half(watched: View) -> None:
    path = watched.documents / "slow.txt"
    with path.open("w") as file:
        for number in range(6):
            file.write(f"{KEYS} Part {number}. ")
            file.flush()
            await asyncio.sleep(0.2)
            assert "slow.txt" not in watched.found(QUESTION)
    await until(lambda: "slow.txt" in watched.found(QUESTION))
    assert "Part 5" in " ".join(watched.answering.stores["notes"].texts(["slow.txt"]))


async def test_errors_are_shown_and_the_rest_goes_on(watched: View) -> None:
    (watched.documents / "bad.docx").write_bytes(b"no zip")
    (watched.documents / ".hidden.txt").write_text(KEYS)
    (watched.documents / "good.txt").write_text(f"{KEYS} Good.")
    await until(lambda: "good.txt" in watched.found(QUESTION))
    _, status = await watched.call("GET", "/status")
    assert status["collections"]["notes"]["watch"]["skipped"] == {"bad.docx": "corrupt"}
    assert len(watched.found(QUESTION)) == 2


async def test_a_name_that_is_not_utf8_stops_nothing(watched: View) -> None:
    odd = watched.documents / os.fsdecode(b"caf\xe9.txt")
    odd.write_text(f"{KEYS} Oddly.")
    (watched.documents / "new.txt").write_text(f"{KEYS} Really.")
    await until(lambda: set(watched.found(QUESTION)) == {"first.txt", "new.txt", "caf\\xe9.txt"})
    status, _ = await watched.delete("caf\\xe9.txt")
    assert status == 200
    assert not odd.exists()
    assert set(watched.found(QUESTION)) == {"first.txt", "new.txt"}
    (watched.documents / "last.txt").write_text(f"{KEYS} Lastly.")
    await until(lambda: "last.txt" in watched.found(QUESTION), 15)


async def test_a_folder_that_was_put_in_order_meanwhile_is_followed(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "first.txt").write_text(KEYS)
    collections = [{"name": "notes", "folder": "documents", "watch": True}]
    async with node_view(tmp_path, collections) as view:
        await until(lambda: view.found(QUESTION) == ["first.txt"])
    (documents / "sorted").mkdir()
    (documents / "first.txt").rename(documents / "sorted" / "first.txt")
    async with node_view(tmp_path, collections) as view:
        await until(lambda: view.found(QUESTION) == ["sorted/first.txt"])


async def test_a_folder_that_vanishes_takes_nothing_with_it_and_comes_back(watched: View) -> None:
    watcher = watched.state.watchers["notes"]
    away = watched.documents.with_name("away")
    watched.documents.rename(away)
    (away / "first.txt").rename(away.parent / "kept.txt")
    watched.documents.mkdir()
    await until(lambda: "in its folder any more" in watcher.state.error)
    assert watched.found(QUESTION) == ["first.txt"]
    (away.parent / "kept.txt").rename(watched.documents / "first.txt")
    await until(lambda: watcher.state.watching and not watcher.state.error)
    assert watched.found(QUESTION) == ["first.txt"]


async def test_what_was_deleted_by_request_does_not_come_back(watched: View) -> None:
    await watched.put("mine.txt", f"{KEYS} Mine.")
    await watched.delete("first.txt")
    await asyncio.sleep(1.2)
    assert watched.found(QUESTION) == ["mine.txt"]


async def test_a_node_that_ends_does_not_wait_for_a_long_ingest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "documents").mkdir()
    for number in range(2000):
        (tmp_path / "documents" / f"{number}.txt").write_text(f"{KEYS} {number}")
    monkeypatch.setattr(HashingEmbedder, "embed", slowly(HashingEmbedder.embed))
    async with node_view(tmp_path, [{"name": "notes", "folder": "documents", "watch": True}]) as view:
        await until(lambda: view.answering.embedder.num_embedded > 0)  # type: ignore[attr-defined]
        started = time.monotonic()
    assert time.monotonic() - started < 3
    with DocumentStore.open(tmp_path / "index" / "notes", HashingEmbedder()) as store:
        assert store.count() == 0


def slowly(embed: Callable[..., FloatArray]) -> Callable[..., FloatArray]:
    def embed_slowly(self: HashingEmbedder, texts: Sequence[str], progress: Progress | None = None) -> FloatArray:
        time.sleep(0.003 * len(texts))
        return embed(self, texts, progress)

    return embed_slowly
