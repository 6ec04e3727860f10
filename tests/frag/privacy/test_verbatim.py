import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frag.privacy.verbatim import ELISION, VerbatimGuard, tokenize

PASSAGE = "The patient was given forty milligrams of Zanoril every morning before breakfast at home."

words = st.sampled_from(
    ["the", "dose", "of", "Zanoril", "IS", "is", "forty", "\uff2d\uff27", "mg", "漢字", "½", "stra\u00adße"]
)
gaps = st.sampled_from([" ", ", ", "\n", " - ", "\u200b ", "… ", "_", " […] "])
word_texts = st.lists(st.tuples(words, gaps), max_size=40).map(lambda pairs: "".join(map("".join, pairs)))
texts = word_texts | st.text(max_size=80)


def test_a_run_keeps_all_but_its_excess() -> None:
    guard = VerbatimGuard([PASSAGE], 5)
    assert guard.cut(f"Answer: {PASSAGE} Good.") == f"Answer: The patient was given {ELISION}. Good."


def test_a_shorter_run_stays() -> None:
    text = "She was given forty milligrams of something."  # "was given forty milligrams of" has 5 words
    assert VerbatimGuard([PASSAGE], 6).cut(text) == text
    assert VerbatimGuard([PASSAGE], 5).cut(text) == f"She was given forty milligrams {ELISION} something."


@pytest.mark.parametrize(
    "disguise",
    [
        str.upper,
        lambda text: text.replace(" ", ",\n- "),
        lambda text: text.replace(" ", "_"),
        "\u200b".join,
        lambda text: text.replace("o", "o\u00ad"),
        lambda text: "".join(chr(ord(c) + 0xFEE0) if "a" <= c <= "z" else c for c in text),
        lambda text: "".join(c + "\u0336" for c in text),
        lambda text: text.replace(" ", "\u3000"),
        lambda text: text.replace(" ", " […] "),
        lambda text: text.replace("a", "a\x00"),
    ],
)
def test_disguises_do_not_help(disguise) -> None:
    guard = VerbatimGuard([PASSAGE], 5)
    assert guard.copies(disguise(PASSAGE))
    cut = guard.cut(disguise(PASSAGE))
    assert ELISION in cut
    assert len(tokenize(cut)) == 4


def test_scripts_without_spaces_count_by_character() -> None:
    passage = "患者は毎朝四十ミリグラムの薬を投与された"
    assert len(tokenize(passage)) == len(passage) - passage.count("\u3099")
    assert VerbatimGuard([passage], 6).cut(passage) == f"患者は毎朝{ELISION}"


def test_a_cut_does_not_join_a_new_copy() -> None:
    # cutting "e f" out of the first run would put "a b c d" before "x y", which is a run of the second passage
    guard = VerbatimGuard(["a b c d e f", "c d x y z"], 5)
    cut = guard.cut("a b c d e f x y z")
    assert not guard.copies(cut)
    assert cut.startswith("a b c d […]")
    assert not VerbatimGuard(["b c x", "a b d"], 3).copies(VerbatimGuard(["b c x", "a b d"], 3).cut("a b d c x"))


def test_placeholders_of_one_type_are_alike() -> None:
    guard = VerbatimGuard(["given to <PERSON_4> on the ward"], 6)
    assert guard.copies("given to <PERSON_1> on the ward")
    assert not guard.copies("given to <US_SSN_1> on the ward")


def slow_words(text: str) -> list[str]:
    """An independent, plainer reading of "word tokens": NFKC, case-folded, without elision markers."""
    visible = "".join(c for c in text.replace(ELISION, " ") if unicodedata.category(c) != "Cf")
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", visible).casefold())


@settings(max_examples=300)
@given(texts, st.lists(texts, max_size=3), st.integers(2, 6))
def test_nothing_of_n_tokens_remains(text: str, passages: list[str], limit: int) -> None:
    guard = VerbatimGuard(passages, limit)
    cut = guard.cut(text)
    assert not guard.copies(cut)
    if guard.copies(text):
        assert ELISION in cut
    else:
        assert cut == text


@settings(max_examples=300)
@given(st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "ij"]), max_size=40), st.data())
def test_nothing_remains_by_a_plainer_reading_either(story: list[str], data) -> None:
    limit = data.draw(st.integers(2, 5))
    passages = data.draw(st.lists(st.lists(st.sampled_from(story or ["x"]), max_size=30), max_size=3))
    guard = VerbatimGuard([" ".join(passage) for passage in passages], limit)
    left = slow_words(guard.cut(" ".join(story)))
    runs = {tuple(passage[i : i + limit]) for passage in passages for i in range(len(passage) - limit + 1)}
    assert not any(tuple(left[i : i + limit]) in runs for i in range(len(left) - limit + 1))


def test_a_limit_below_two_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        VerbatimGuard([PASSAGE], 1)


def test_time_grows_with_the_text_only() -> None:
    story = " ".join(f"w{index % 997}" for index in range(50_000))
    start = time.perf_counter()
    VerbatimGuard([story], 12).cut(story)
    assert time.perf_counter() - start < 5
