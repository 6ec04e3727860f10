"""Ranks chunks by the words of a question: SQLite FTS5 and bm25, inside the database that holds the chunks.

`LEXICAL_SCHEMA` keeps the word index true to a table `chunks(chunk_id, text)` by triggers, so that both
change in one transaction. Any text is a safe question: words only, each quoted.
"""

import re
import sqlite3
import unicodedata

LEXICAL_SCHEMA = """
CREATE VIRTUAL TABLE chunk_words USING fts5(
  text, content='chunks', content_rowid='chunk_id', tokenize='unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE word_counts USING fts5vocab('chunk_words', 'row');
CREATE TRIGGER chunk_words_insert AFTER INSERT ON chunks BEGIN
  INSERT INTO chunk_words (rowid, text) VALUES (new.chunk_id, new.text);
END;
CREATE TRIGGER chunk_words_delete AFTER DELETE ON chunks BEGIN
  INSERT INTO chunk_words (chunk_words, rowid, text) VALUES ('delete', old.chunk_id, old.text);
END;
"""

_WORD = re.compile(r"\w+")
_MAX_WORDS = 64
"""A question is short; a pasted page must not become a query of thousands of terms."""
_COMMON_SHARE = 0.1
"""Words in more than this share of the chunks say little and cost most: left out if others remain."""
_COMMON_FLOOR = 1000
"""Below this many chunks a word is never too common: every lookup is quick."""


def search_words(
    connection: sqlite3.Connection, question: str, top_k: int, common_words: set[str] | None = None
) -> list[int]:
    """Returns at most `top_k` ids of chunks that share a word with `question`, best bm25 first, ties by id.

    `common_words` remembers the words that were found to be too common, as long as the chunks are the same: counting
    them takes longer than the search. Results do not depend on it.
    """
    words = _telling_words(connection, question_words(question), set() if common_words is None else common_words)
    if not words:
        return []
    rows = connection.execute(
        "SELECT rowid FROM chunk_words WHERE chunk_words MATCH ? ORDER BY rank, rowid LIMIT ?",
        (" OR ".join(f'"{word}"' for word in words), top_k),
    )
    return [row[0] for row in rows]


def question_words(question: str) -> list[str]:
    """The distinct words of `question` in order, lower-case, at most 64."""
    valid = question.encode("utf-8", "replace").decode("utf-8")
    # composed, since FTS5 takes an accent as part of its word and `\w` does not
    words = _WORD.findall(unicodedata.normalize("NFC", valid).lower())
    return list(dict.fromkeys(words))[:_MAX_WORDS]


def erase_deleted_words(connection: sqlite3.Connection) -> None:
    """Rewrites the word index without what was deleted, inside the caller's transaction.

    FTS5 only marks deleted words until it happens to merge; their text could be read from the file until
    then.
    """
    connection.execute("INSERT INTO chunk_words (chunk_words) VALUES ('optimize')")


def _telling_words(connection: sqlite3.Connection, words: list[str], common_words: set[str]) -> list[str]:
    """`words` without the too common ones; the rarest if all are common."""
    (num_chunks,) = connection.execute("SELECT num_chunks FROM collection").fetchone()
    ceiling = max(_COMMON_FLOOR, _COMMON_SHARE * num_chunks)
    if num_chunks <= ceiling or not words:
        return words
    unknown = [word for word in words if word not in common_words]
    common_words.update(word for word in unknown if _num_chunks_with(connection, word) > ceiling)
    telling = [word for word in unknown if word not in common_words]
    return telling or [min(words, key=lambda word: _num_chunks_with(connection, word))]


def _num_chunks_with(connection: sqlite3.Connection, word: str) -> int:
    decomposed = unicodedata.normalize("NFD", word)
    term = "".join(char for char in decomposed if not unicodedata.combining(char))
    row = connection.execute("SELECT doc FROM word_counts WHERE term = ?", (term,)).fetchone()
    return row[0] if row else 0
