import sqlite3
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrievers import lexical_index
from retrievers.lexical_index import LEXICAL_SCHEMA, erase_deleted_words, question_words, search_words

TEXTS = [
    "the cat sat on the mat",
    "the dog sat on the log with the dog",
    "Genève and the lake",
    "state-of-the-art foo_bar",
    "fever AND chills",
]


@pytest.fixture
def words():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE chunks (chunk_id INTEGER PRIMARY KEY, text TEXT)")
        connection.execute("CREATE TABLE collection (num_chunks INTEGER)")
        connection.executescript(LEXICAL_SCHEMA)
        connection.executemany("INSERT INTO chunks (text) VALUES (?)", [(text,) for text in TEXTS])
        connection.execute("INSERT INTO collection VALUES (?)", (len(TEXTS),))
        yield connection


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("cat", [1]),
        ("DOG?", [2]),
        ("geneve", [3]),
        ("Gene\u0300ve", [3]),
        ("sat mat", [1, 2]),
        ("art", [4]),
        ("foo_bar", [4]),
        ("AND NOT fever", [5, 3]),
        ("", []),
        ('"*:^()', []),
        ("unheard", []),
    ],
)
def test_finds_by_words(words, question, expected):
    assert search_words(words, question, 10) == expected


def test_top_k_and_ties_by_id(words):
    words.execute("DELETE FROM chunks")
    words.executemany("INSERT INTO chunks (chunk_id, text) VALUES (?, 'same')", [(9,), (3,), (5,)])
    assert search_words(words, "same", 2) == [3, 5]


def test_deleted_rows_are_not_found_and_their_words_are_erased(words):
    words.execute("DELETE FROM chunks WHERE chunk_id = 2")
    assert search_words(words, "dog", 10) == []
    erase_deleted_words(words)
    blocks = words.execute("SELECT block FROM chunk_words_data").fetchall()
    assert not any(b"og" in block for (block,) in blocks)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters()) | st.text(alphabet="\"'*:^()-+{}, ANDORNEAT\0", max_size=60))
def test_no_question_is_a_syntax_error(words, question):
    search_words(words, question, 5)


def test_a_pasted_page_is_cut_to_64_words():
    assert len(question_words(" ".join(map(str, range(1000))))) == 64


def test_common_words_are_left_out_while_rarer_ones_remain(words, monkeypatch):
    monkeypatch.setattr(lexical_index, "_COMMON_FLOOR", 2)
    remembered: set[str] = set()
    assert search_words(words, "the cat", 10, remembered) == [1]
    assert remembered == {"the"}
    assert search_words(words, "the cat", 10, remembered) == [1]
    assert set(search_words(words, "the", 10, remembered)) == {1, 2, 3, 4}
