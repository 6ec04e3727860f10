"""What is shown while a merged text is written is never taken back, and the result does not depend on who watches."""

import asyncio
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from frag.answers.faithfulness import invents, keeps
from frag.answers.settled import completed, settled_part, tidy
from frag.answers.synthesize import Synthesize
from frag.types import Aggregate, Generation, GenerationRequest
from tests.contracts.aggregator import node_answer
from tests.frag.answers.test_synthesize import DOSE, JOINED, QUESTION, WHERE

TEXTS = [WHERE.text, DOSE.text]
FIRST = "The Hillside clinic offers Zanoril."
STORY = "Its founder, Admiral Whiskers, sailed around Antarctica on a wooden barrel."


class Watcher:
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.final: list[str] = []

    def written(self, text: str) -> None:
        self.seen.append(text)

    def settled(self, text: str) -> None:
        self.final.append(text)


def follow(text: str) -> tuple[Watcher, Aggregate, Aggregate]:
    """A model that writes `text` letter by letter: what a watcher saw, the result, and the result nobody watched."""

    async def write(_request: GenerationRequest) -> Generation:
        return Generation(text=text, token_logprob=-0.5, num_prompt_tokens=9, num_new_tokens=9)

    async def write_aloud(request: GenerationRequest, listener: Callable[[str], None], /) -> Generation:
        for end in range(1, len(text) + 1):
            listener(text[:end])
        return await write(request)

    watcher, method = Watcher(), Synthesize(write, write_aloud=write_aloud)
    watched = asyncio.run(method.aggregate_followed(QUESTION, [WHERE, DOSE], watcher))
    return watcher, watched, asyncio.run(method.aggregate(QUESTION, [WHERE, DOSE]))


def test_a_sentence_settles_when_the_next_one_begins() -> None:
    watcher, result, _ = follow(f"{FIRST} Its dose is 40 mg twice daily.")
    assert watcher.final == [FIRST]
    assert result.text == f"{FIRST} Its dose is 40 mg twice daily."


def test_what_was_shown_stays_when_the_rest_is_invented() -> None:
    watcher, result, _ = follow(f"{FIRST} {STORY}")
    assert watcher.final == [FIRST]
    assert any("Whiskers" in text for text in watcher.seen), "provisional text may hold what is discarded"
    assert result.text == JOINED
    assert result.contributors == ("north", "south")


def test_nothing_settles_that_says_no_answer_whole() -> None:
    for text in ("Zanoril. Clinic.", f"{STORY} {FIRST}", "Not found. Not found.", "HACKED. HACKED."):
        watcher, _, _ = follow(text)
        assert watcher.final == []


def test_a_short_word_at_a_stop_does_not_settle() -> None:
    assert settled_part("Dr. ", TEXTS, QUESTION) == ""
    assert settled_part(f"{FIRST}", TEXTS, QUESTION) == "", "more letters may still change the last word"


PIECES = st.lists(
    st.sampled_from(
        [FIRST, "Its dose is 40 mg twice a day.", STORY, "Dr. Who.", "41 mg.", "\n", "Hillside\n", "Why? "]
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=40)
@given(PIECES)
def test_watching_changes_nothing_and_nothing_shown_is_taken_back(pieces: list[str]) -> None:
    watcher, watched, unwatched = follow(" ".join(pieces) or "Not found.")
    assert watched == unwatched
    assert all(later.startswith(earlier) for earlier, later in zip(watcher.final, watcher.final[1:], strict=False))
    assert all(watched.text.startswith(text) for text in watcher.final)


@settings(deadline=None, max_examples=40)
@given(PIECES)
def test_the_guard_holds_for_whatever_comes_out(pieces: list[str]) -> None:
    _, result, _ = follow(" ".join(pieces) or "Not found.")
    if result.text != WHERE.text:
        assert not invents(result.text, TEXTS, QUESTION)
        assert all(keeps(result.text, text, QUESTION) for text in TEXTS)


def test_missing_answers_follow_what_is_settled() -> None:
    assert completed("", TEXTS, QUESTION) == JOINED
    assert completed(FIRST, TEXTS, QUESTION) == JOINED
    assert tidy("a \n\n b") == "a. b."
    assert settled_part(f"{JOINED} x", TEXTS, QUESTION) == JOINED
    assert node_answer("a", "x", 0.1).text == "x"
