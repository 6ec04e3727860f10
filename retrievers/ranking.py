"""Answers one question from one consistent state: vectors, words, fusion, texts of the best chunks."""

import json
import sqlite3
from collections.abc import Sequence

from frag.protocols import FloatArray
from frag.types import Hit, RetrievalMode
from retrievers.hybrid import drop_repeats, normalise_text, reciprocal_rank_fusion
from retrievers.lexical_index import search_words
from retrievers.snapshot import Snapshot

_MIN_DEPTH = 50
"""Candidates per ranking. On XQuAD 20 and 50 find about the same; more leave room to drop repeats."""
_Ranking = list[tuple[int, float, float]]
"""(chunk_id, cosine, rank_score), best first."""


def rank(
    connection: sqlite3.Connection,
    snapshot: Snapshot,
    vector: FloatArray,
    question: str,
    *,
    top_k: int,
    mode: RetrievalMode,
) -> list[Hit]:
    """At most `top_k` hits, best first, no two with the same normalised text.

    Looks deeper when repeated texts crowd the candidates, until there are `top_k` different ones or no more
    chunks.

    Args:
        connection: Inside a read transaction that sees exactly the chunks of `snapshot`.
        snapshot: What is searched.
        vector: The question, [dimension], norm 1.
        question: The question's words, used in hybrid mode.
        top_k: At least 1.
        mode: By cosine alone, or fused with the words.
    """
    depth = max(_MIN_DEPTH, 2 * top_k)
    while True:
        if mode is RetrievalMode.DENSE:
            ranking = _dense(connection, snapshot, vector, depth)
        else:
            ranking = _hybrid(connection, snapshot, vector, question, depth)
        hits = _different_hits(connection, ranking, top_k)
        if len(hits) >= top_k or depth >= len(snapshot.vectors):
            return hits
        depth *= 4


def matches(connection: sqlite3.Connection, snapshot: Snapshot, vector: FloatArray, floor: float) -> list[Hit]:
    """All chunks of at least `floor`, by ascending id; see `DocumentStore.matches`."""
    found = snapshot.vectors.above(connection, vector, floor)
    scores = {chunk_id: min(1.0, score) for chunk_id, score in sorted(found.items())}
    return _read_hits(connection, [(chunk_id, score, score) for chunk_id, score in scores.items()])


def _different_hits(connection: sqlite3.Connection, ranking: _Ranking, top_k: int) -> list[Hit]:
    """The first `top_k` with different texts; reads no more texts than it needs to."""
    hits: list[Hit] = []
    for first in range(0, len(ranking), 2 * top_k):
        hits += _read_hits(connection, ranking[first : first + 2 * top_k])
        hits = drop_repeats(hits, key=lambda hit: normalise_text(hit.text))
        if len(hits) >= top_k:
            break
    return hits[:top_k]


def _dense(connection: sqlite3.Connection, snapshot: Snapshot, vector: FloatArray, depth: int) -> _Ranking:
    ids, scores = snapshot.vectors.search(connection, vector, depth)
    cosines = scores.clip(-1.0, 1.0).tolist()
    return [(chunk_id, cosine, cosine) for chunk_id, cosine in zip(ids.tolist(), cosines, strict=True)]


def _hybrid(
    connection: sqlite3.Connection, snapshot: Snapshot, vector: FloatArray, question: str, depth: int
) -> _Ranking:
    dense = _dense(connection, snapshot, vector, depth)
    dense_ids = [chunk_id for chunk_id, _, _ in dense]
    lexical_ids = search_words(connection, question, depth, snapshot.common_words)
    cosines = {chunk_id: cosine for chunk_id, cosine, _ in dense}
    for chunk_id, cosine in snapshot.vectors.scores(connection, vector, set(lexical_ids) - set(dense_ids)).items():
        cosines[chunk_id] = min(1.0, max(-1.0, cosine))
    fused = reciprocal_rank_fusion([dense_ids, lexical_ids])
    return [(chunk_id, cosines[chunk_id], score) for chunk_id, score in fused]


def _read_hits(connection: sqlite3.Connection, ranking: Sequence[tuple[int, float, float]]) -> list[Hit]:
    rows = connection.execute(
        "SELECT chunk_id, document_id, start_char, end_char, text FROM chunks"
        " WHERE chunk_id IN (SELECT value FROM json_each(?))",
        (json.dumps([chunk_id for chunk_id, _, _ in ranking]),),
    )
    places = {row[0]: row[1:] for row in rows}
    return [
        Hit(
            chunk_id=chunk_id,
            document_id=places[chunk_id][0],
            start_char=places[chunk_id][1],
            end_char=places[chunk_id][2],
            text=places[chunk_id][3],
            score=cosine,
            rank_score=score,
        )
        for chunk_id, cosine, score in ranking
    ]
