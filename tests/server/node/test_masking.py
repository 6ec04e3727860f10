"""What the model reads in place of a passage, and who looks at what it wrote."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from frag.privacy.patterns import PatternRedactor
from frag.privacy.redaction_cache import RedactionCache
from frag.types import Document
from retrievers.store import DocumentStore
from server.node.masking import Masking, Warming
from tests.doubles import HashingEmbedder

PATTERNS = PatternRedactor(("EMAIL_ADDRESS",))


class Names:
    """Knows Ann Lee and e-mail addresses."""

    def __init__(self) -> None:
        self.searched: list[str] = []

    def find(self, text: str) -> list[tuple[int, int, str]]:
        self.searched.append(text)
        start = text.find("Ann Lee")
        names = [(start, start + 7, "PERSON")] if start >= 0 else []
        return sorted([*names, *PATTERNS.find(text)])


def masking() -> Masking:
    return Masking(passages=Names(), answers=Names(), patterns=PATTERNS)


def test_one_placeholder_means_one_person_in_all_passages() -> None:
    masked = masking().mask(["Ann Lee came.", "Then Ann Lee wrote from ann@lee.example."], "Who came?")
    assert masked.shown == ("<PERSON_1> came.", "Then <PERSON_1> wrote from <EMAIL_ADDRESS_1>.")
    assert masked.words == {"came", "Then", "wrote", "from"}


def test_a_name_that_the_question_names_stays_for_the_model() -> None:
    passages = ["Ann Lee came. Mail: ann@lee.example."]
    for question in ("When did ann  lee come?", "Ann Lee?"):
        assert masking().mask(passages, question).shown == ("Ann Lee came. Mail: <EMAIL_ADDRESS_1>.",)
    for question in ("When did Joann Leech come?", "What is the mail of Ann?"):
        assert masking().mask(passages, question).shown == ("<PERSON_1> came. Mail: <EMAIL_ADDRESS_1>.",)


def test_an_answer_with_a_word_that_nobody_looked_at_is_looked_at_whole() -> None:
    guard = masking()
    masked = guard.mask(["Ann Lee came late."], "When did Ann Lee come?")
    assert guard.checking("<PERSON_1> came late", masked) is guard.patterns
    for answer in ("Ann Lee came late", "Bob came late", "A n n came"):
        assert guard.checking(answer, masked) is guard.answers


def test_nothing_is_masked_in_nothing() -> None:
    assert masking().mask([], "Who?").shown == ()


async def test_what_is_indexed_is_searched_in_the_background(tmp_path: Path) -> None:
    redactor = Names()
    cache = RedactionCache.open(tmp_path / "redactions.db", redactor, "a")
    with DocumentStore.open(tmp_path / "notes", HashingEmbedder()) as store, ThreadPoolExecutor(1) as worker:
        cache.find("A passage that is gone.")
        store.ingest([Document(document_id=f"{n}.txt", text=f"Ann Lee came on day {n}.") for n in range(40)])
        task = asyncio.create_task(Warming(cache, {"notes": store}, worker).run())
        await until(lambda: len(cache) == 40)
        store.ingest([Document(document_id="new.txt", text="Ann Lee left.")])
        await until(lambda: len(cache) == 41)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert len(redactor.searched) == 42
    assert cache.find("Ann Lee left.")
    assert len(redactor.searched) == 42, "a question finds it searched"
    cache.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)
