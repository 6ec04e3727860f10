"""Cuts documents into chunks that an embedder sees whole.

Chunks are packed from sentences, measured in the embedder's own tokens, and overlap by whole sentences.
Offsets are exact: `document.text[chunk.start_char:chunk.end_char] == chunk.text`, and no text but whitespace
lies outside of all chunks. Knows nothing of storage or search.
"""

# ruff: noqa: RUF001 - quotation marks and full stops of many scripts are meant

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from frag.protocols import Embedder
from frag.types import Chunk, Document

DEFAULT_CHUNK_TOKENS = 224
"""A paragraph or two; below the 254 of all-MiniLM, since a slice may tokenize longer than in its place."""
DEFAULT_OVERLAP_TOKENS = 32

_MAX_TOKEN_CHARS = 32
"""A longer token (base64, an unknown word) counts as several: chunks have a bound in characters."""
_BLOCK_CHARS = 20_000
"""Sentences are tokenized together up to this length: few calls, little memory."""

_BOUND = re.compile(
    r"""
    \n\s*\n                                      # blank line
    | [.!?…]["'”’»)\]]{0,3}\s+(?=[^\sa-z])       # end of sentence; lower case after it means an abbreviation
    | [。！？]["'”’」』）]{0,3}                     # scripts without spaces
    """,
    re.VERBOSE,
)
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|Nr|Fig|vs|cf|e\.g|i\.e|z\.B|Inc|Ltd)\.$")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A span without surrounding whitespace that is packed as one, a sentence or a part of a long one."""

    start: int
    end: int
    num_tokens: int


def chunk_document(
    document: Document,
    embedder: Embedder,
    chunk_tokens: int = DEFAULT_CHUNK_TOKENS,
    overlap_tokens: int = DEFAULT_OVERLAP_TOKENS,
) -> list[Chunk]:
    """Returns the chunks of `document` in order; none if it holds only whitespace.

    Args:
        document: What to cut.
        embedder: Its tokens are counted; `max_tokens` caps `chunk_tokens`.
        chunk_tokens: Most tokens of a chunk, at least 1. Longer sentences are split between tokens.
        overlap_tokens: Most tokens that a chunk repeats from the one before; less than `chunk_tokens`.

    Raises:
        ValueError: `chunk_tokens` or `overlap_tokens` is out of range.
    """
    limit = min(chunk_tokens, embedder.max_tokens)
    if limit < 1 or not 0 <= overlap_tokens < chunk_tokens:
        raise ValueError(f"need 0 <= overlap_tokens < chunk_tokens, got {overlap_tokens} and {chunk_tokens}")
    pieces = _pieces(document.text, embedder, limit, min(overlap_tokens, limit - 1))
    return [
        Chunk(
            document_id=document.document_id,
            start_char=start,
            end_char=end,
            text=document.text[start:end],
        )
        for start, end in _pack(pieces, limit, overlap_tokens)
    ]


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Trimmed spans (start, end) of the sentences of `text`, in order, covering all but whitespace."""
    bounds = [0]
    for match in _BOUND.finditer(text):
        end = match.end()
        if text[match.start()] == "." and _ABBREVIATION.search(text, max(0, match.start() - 6), match.start() + 1):
            continue
        bounds.append(end)
    bounds.append(len(text))
    spans = (_trim(text, start, end) for start, end in pairwise(bounds))
    return [(start, end) for start, end in spans if start < end]


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def _pieces(text: str, embedder: Embedder, limit: int, overlap: int) -> Iterator[_Piece]:
    for block in _blocks(split_sentences(text)):
        origin, end = block[0][0], block[-1][1]
        starts = _token_starts(embedder.token_offsets(text[origin:end]), origin, end)
        position = 0
        for span in block:
            first = position
            while position < len(starts) and starts[position] < span[1]:
                position += 1
            yield from _split(text, span, starts[first:position], limit, overlap)


def _blocks(sentences: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    block: list[tuple[int, int]] = []
    for sentence in sentences:
        if block and sentence[1] - block[0][0] > _BLOCK_CHARS:
            yield block
            block = []
        block.append(sentence)
    if block:
        yield block


def _token_starts(offsets: list[tuple[int, int]], origin: int, end: int) -> list[int]:
    """Where tokens start in the document, ascending; 32 characters without a start count as a token."""
    starts: list[int] = []
    last = origin
    for start in (*(origin + token_start for token_start, _ in offsets), end):
        starts.extend(range(last + _MAX_TOKEN_CHARS, start, _MAX_TOKEN_CHARS))
        last = max(start, last)
        starts.append(last)
    return starts[:-1]


def _split(text: str, span: tuple[int, int], starts: list[int], limit: int, overlap: int) -> Iterator[_Piece]:
    """A sentence as one piece; one over `limit` tokens as pieces small enough to serve as overlap."""
    start, end = span
    if len(starts) <= limit:
        yield _Piece(start, end, len(starts))
        return
    size = overlap or limit
    row = 0
    while row < len(starts):
        following = _word_start(text, starts, row + size, size) if row + size < len(starts) else len(starts)
        low = starts[row] if row else start
        high = starts[following] if following < len(starts) else end
        low, high = _trim(text, low, high)
        if low < high:
            yield _Piece(low, high, following - row)
        row = following


def _word_start(text: str, starts: list[int], row: int, size: int) -> int:
    """The nearest token at or before `row` that begins a word, at most `size` / 2 back; else `row`."""
    for candidate in range(row, row - size // 2, -1):
        if text[starts[candidate] - 1].isspace():
            return candidate
    return row


def _pack(pieces: Iterator[_Piece], limit: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Greedily fills chunks up to `limit` tokens; each repeats the last pieces before it, up to `overlap`."""
    chunk: list[_Piece] = []
    num_tokens = 0
    for piece in pieces:
        if chunk and num_tokens + piece.num_tokens > limit:
            yield chunk[0].start, chunk[-1].end
            chunk = _tail(chunk, min(overlap, limit - piece.num_tokens))
            num_tokens = sum(kept.num_tokens for kept in chunk)
        chunk.append(piece)
        num_tokens += piece.num_tokens
    if chunk:
        yield chunk[0].start, chunk[-1].end


def _tail(chunk: list[_Piece], budget: int) -> list[_Piece]:
    """The longest proper suffix of `chunk` within `budget` tokens."""
    kept: list[_Piece] = []
    for piece in reversed(chunk[1:]):
        budget -= piece.num_tokens
        if budget < 0:
            break
        kept.insert(0, piece)
    return kept
