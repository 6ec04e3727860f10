import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.types import Document
from retrievers.chunking import chunk_document, split_sentences
from tests.doubles import HashingEmbedder


def cut(text, chunk_tokens=8, overlap_tokens=3, embedder=None):
    document = Document(document_id="d", text=text)
    return chunk_document(document, embedder or HashingEmbedder(), chunk_tokens, overlap_tokens)


def texts(chunks):
    return [chunk.text for chunk in chunks]


def sentences(text):
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?  Four", ["One.", "Two!", "Three?", "Four"]),
        ("A heading\n\nthen text", ["A heading", "then text"]),
        ("one line\nand the next", ["one line\nand the next"]),
        ("Dr. Watt met J. Black. They talked.", ["Dr. Watt met J. Black.", "They talked."]),
        ("It cost 3.5 pounds, i.e. much.", ["It cost 3.5 pounds, i.e. much."]),
        ('He said "Go." Then he went.', ['He said "Go."', "Then he went."]),
        ("東京は首都です。大阪は違います。", ["東京は首都です。", "大阪は違います。"]),
        (" \n\t ", []),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


def test_a_short_document_is_one_chunk():
    (chunk,) = cut("  Two words. \n")
    assert (chunk.text, chunk.start_char, chunk.end_char) == ("Two words.", 2, 12)


def test_whole_sentences_are_packed_and_overlap():
    # 3 tokens a sentence with its full stop: two fit into 8, one into the overlap of 3
    assert texts(cut("A b. C d. E f. G h.")) == ["A b. C d.", "C d. E f.", "E f. G h."]


def test_overlap_gives_way_to_a_long_sentence():
    assert texts(cut("A b. C d e f g.")) == ["A b.", "C d e f g."]


def test_a_sentence_over_the_limit_is_split_between_words():
    assert texts(cut("a b c d e f g h i j k l", 6, 2)) == ["a b c d e f", "e f g h i j", "i j k l"]


def test_a_word_over_the_limit_is_split():
    blob = "x" * 1000
    assert [len(text) for text in texts(cut(blob, 8, 0))] == [256, 256, 256, 232]


def test_the_embedder_caps_the_chunk():
    embedder = HashingEmbedder(max_tokens=4)
    assert all(len(embedder.token_offsets(text)) <= 4 for text in texts(cut("a b c d e f g. " * 5, 100, 2, embedder)))


@pytest.mark.parametrize(("chunk_tokens", "overlap_tokens"), [(0, 0), (8, 8), (8, -1)])
def test_impossible_sizes_are_refused(chunk_tokens, overlap_tokens):
    with pytest.raises(ValueError, match="overlap_tokens"):
        cut("text", chunk_tokens, overlap_tokens)


PROSE = st.lists(
    st.sampled_from(["word", "Ünïcode", ". ", "\n\n", "! ", "。", " ", "-", "😀", "\u0301", "x" * 70]), max_size=150
).map("".join)


@given(text=st.text(max_size=600) | PROSE, chunk_tokens=st.integers(1, 40), data=st.data())
def test_chunks_are_exact_bounded_ordered_and_lose_no_text(text, chunk_tokens, data):
    overlap_tokens = data.draw(st.integers(0, chunk_tokens - 1))
    embedder = HashingEmbedder()
    chunks = cut(text, chunk_tokens, overlap_tokens, embedder)
    covered = set()
    for chunk in chunks:
        assert chunk.text == text[chunk.start_char : chunk.end_char] == chunk.text.strip() != ""
        assert len(embedder.token_offsets(chunk.text)) <= chunk_tokens
        covered.update(range(chunk.start_char, chunk.end_char))
    assert all(char.isspace() for place, char in enumerate(text) if place not in covered)
    starts_and_ends = [(chunk.start_char, chunk.end_char) for chunk in chunks]
    assert starts_and_ends == sorted(set(starts_and_ends))
    assert len({end for _, end in starts_and_ends}) == len(chunks)


class Deaf(HashingEmbedder):
    """A tokenizer that drops what it does not know."""

    def token_offsets(self, text):
        return []


@given(text=st.text(max_size=300))
def test_text_without_tokens_is_kept_and_bounded(text):
    chunks = cut(text, 2, 1, Deaf())
    assert "".join("".join(chunk.text.split()) for chunk in cut(text, 2, 0, Deaf())) == "".join(text.split())
    assert all(len(chunk.text) <= 3 * 32 + 2 for chunk in chunks)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text", ["." * 200_000, ". " * 50_000, "\n" * 200_000, "a" * 200_000, '."' * 50_000, ".\n \n" * 30_000]
)
def test_hostile_text_takes_linear_time(text):
    cut(text, 224, 32)
