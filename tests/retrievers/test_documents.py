import io
import json
import os
import warnings
import zipfile

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from frag.errors import DocumentError
from frag.types import Document
from retrievers import formats
from retrievers.documents import SkippedFile, load_documents
from retrievers.formats import READERS
from tests.retrievers.samples import write_all, write_docx, write_pdf


def load(source, **settings):
    items = list(load_documents(source, **settings))
    documents = [item for item in items if isinstance(item, Document)]
    return documents, {item.path: item.code for item in items if isinstance(item, SkippedFile)}


def read(tmp_path, name, content):
    """The documents of one file as {id: text}, and what was skipped."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    documents, skipped = load(path)
    return {document.document_id: document.text for document in documents}, skipped


def test_every_format_is_read_in_sorted_order(tmp_path):
    write_all(tmp_path)
    documents, skipped = load(tmp_path)
    assert [(d.document_id, d.title, d.text) for d in documents] == [
        ("a.txt", "a", "Plain text."),
        ("b.md", "Heading", "# Heading\n\nMarked text."),
        ("c.html", "Page", "Shown text."),
        ("d.pdf", "Paper", "Portable text."),
        ("e.docx", "Letter", "Before the table.\n\ndrug | dose\naspirin | 5 mg\n\nAfter the table."),
        ("f.csv#r1", "First", "Row text."),
        ("g.jsonl#l1", "Line", "Line text."),
    ]
    assert skipped == {}


def test_ids_are_relative_and_hidden_files_are_passed_over(tmp_path):
    for name in ("b/two.txt", "a.txt", "b/.git/x.txt", ".hidden.txt", "b/c/three.TXT"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    documents, skipped = load(tmp_path)
    assert [d.document_id for d in documents] == ["a.txt", "b/c/three.TXT", "b/two.txt"]
    assert skipped == {}


def test_what_is_skipped_is_reported_with_a_code(tmp_path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "blank.md").write_text(" \n")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "zeros.txt").write_bytes(b"a\0b")
    (tmp_path / "big.txt").write_text("x" * 101)
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (tmp_path / "broken.docx").write_bytes(b"PK nothing")
    os.mkfifo(tmp_path / "pipe.txt")
    documents, skipped = load(tmp_path, max_file_bytes=100)
    assert documents == []
    assert skipped == {
        "big.txt": "too_large",
        "blank.md": "empty",
        "broken.docx": "corrupt",
        "broken.pdf": "corrupt",
        "empty.txt": "empty",
        "latin.txt": "corrupt",
        "photo.jpg": "unsupported",
        "pipe.txt": "unreadable",
        "zeros.txt": "corrupt",
    }


def test_links_do_not_lead_out_of_the_folder(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (inside / "own.txt").write_text("own")
    (inside / "alias.txt").symlink_to("own.txt")
    (inside / "dangling.txt").symlink_to("nothing.txt")
    (inside / "folder").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    (inside / "secret.txt").symlink_to(outside / "secret.txt")
    documents, skipped = load(inside)
    assert [d.document_id for d in documents] == ["alias.txt", "own.txt"]
    assert skipped == {"dangling.txt": "unreadable", "folder": "link", "loop": "link", "secret.txt": "link"}


def test_names_that_are_not_utf8_have_a_printable_id(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("text")
    documents, _ = load(tmp_path)
    assert [(d.document_id, d.title) for d in documents] == [("caf\\xe9.txt", "caf\\xe9")]


def test_a_source_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DocumentError, match="no file or folder"):
        load(tmp_path / "nothing")


@pytest.mark.parametrize("content", ["Añb\r\nc\rd", "\ufeffAñb\nc\nd", "Añb\nc\nd".encode("utf-16")])
def test_encodings_and_line_ends(tmp_path, content):
    assert read(tmp_path, "a.txt", content) == ({"a.txt": "Añb\nc\nd"}, {})


def test_html_blocks_are_paragraphs_and_inline_tags_are_not(tmp_path):
    page = """<?xml version="1.0"?><html><head><title> The
    page </title><style>p {}</style></head><body><h1>Head</h1>Te<i>x</i>t <b>bold</b><br>next
    <ul><li>one<li>two</ul><p>caf&eacute; &lt;3</p>tail<noscript>no</noscript></body></html>"""
    documents, _ = read(tmp_path, "a.html", page)
    assert documents == {"a.html": "Head\n\nText bold\n\nnext\n\none\n\ntwo\n\ncafé <3\n\ntail"}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("page", ["<div>", "<p>a</p>", "<b>", "<table>", "&", "<"])
def test_a_long_or_deep_page_takes_linear_time(tmp_path, page):
    documents, skipped = read(tmp_path, "long.html", page * 20_000 + "<p>end")
    assert skipped == {}
    assert documents["long.html"].endswith("end")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("opening", ["<!--", '<a b="', "<![CDATA[", "<?"])
def test_what_is_never_closed_takes_linear_time(tmp_path, opening):
    documents, _ = read(tmp_path, "open.html", "<p>start</p>" + opening * 50_000)
    assert documents["open.html"].startswith("start")


def test_a_page_in_another_encoding_that_it_declares(tmp_path):
    page = '<meta charset="iso-8859-1"><p>caf\xe9</p>'.encode("latin-1")
    assert read(tmp_path, "a.html", page)[0] == {"a.html": "café"}


def test_comments_and_hidden_elements_are_not_text(tmp_path):
    page = "<!-- a --><p>b<!-- c --></p><![CDATA[d]]><template>e</template><?php f ?>g"
    assert read(tmp_path, "a.html", page)[0] == {"a.html": "b\n\ng"}


def test_csv_rows_join_their_columns_without_a_text_column(tmp_path):
    rows = 'name;dose;note\nAspirin;"5;0 mg";\n\n;;\nIbuprofen;"200\nmg";daily;extra\n'
    assert read(tmp_path, "a.csv", rows) == (
        {"a.csv#1": "name: Aspirin\ndose: 5;0 mg", "a.csv#4": "name: Ibuprofen\ndose: 200\nmg\nnote: daily"},
        {},
    )


def test_a_csv_field_over_the_limit_spoils_its_row_only(tmp_path):
    documents, skipped = read(tmp_path, "a.csv", f"text\none\n{'x' * 200_000}\nthree\n")
    assert documents == {"a.csv#1": "one", "a.csv#3": "three"}
    assert skipped == {"a.csv#2": "corrupt"}


def test_a_csv_header_may_hold_line_ends_and_must_be_sound(tmp_path):
    assert read(tmp_path, "a.csv", '"two\nlines",b\n1,2\n')[0] == {"a.csv#1": "two\nlines: 1\nb: 2"}
    assert read(tmp_path, "b.csv", '"' + "x" * 200_000) == ({}, {"b.csv": "corrupt"})


def test_jsonl_lines(tmp_path):
    lines = [
        '{"id": 7, "text": "seven"}',
        '{"a": "one", "b": {"c": ["two", 3]}, "id": "x"}',
        "not json",
        '"a bare string"',
        "",
        '{"text": " "}',
        "[" * 100_000,
        '{"text": "\\ud800 lone"}',
    ]
    documents, skipped = read(tmp_path, "a.jsonl", "\n".join(lines))
    assert documents == {"a.jsonl#7": "seven", "a.jsonl#x": "one\ntwo", "a.jsonl#4": "a bare string"}
    assert skipped == {"a.jsonl#3": "corrupt", "a.jsonl#6": "empty", "a.jsonl#7": "corrupt", "a.jsonl#8": "corrupt"}


def test_a_locked_pdf_is_skipped(tmp_path):
    from pypdf import PdfWriter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer = PdfWriter(clone_from=write_pdf(tmp_path / "open.pdf", "text"))
        writer.encrypt("password", algorithm="RC4-128")
    writer.write(tmp_path / "locked.pdf")
    documents, skipped = load(tmp_path)
    assert [d.document_id for d in documents] == ["open.pdf"]
    assert skipped == {"locked.pdf": "corrupt"}


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_MAX_UNPACKED_BYTES", 2**20)
    bomb = write_docx(tmp_path / "bomb.docx")
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("bomb", "w") as member:
        member.write(bytes(2**20))
    assert load(bomb) == ([], {"bomb.docx": "too_large"})


def test_reports_never_quote_the_file(tmp_path):
    for name in ("a.pdf", "a.docx", "a.txt", "a.jsonl"):
        (tmp_path / name).write_bytes(b"SECRET \xff SECRET")
    for item in load_documents(tmp_path):
        assert "SECRET" not in f"{item.reason} {item!r}"


def _damaged(good: bytes):
    """`good` with some bytes overwritten or cut off."""
    edits = st.lists(
        st.tuples(st.integers(0, len(good) - 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=12
    )

    def damage(edits, end):
        content = bytearray(good)
        for place, new in edits:
            content[place : place + len(new)] = new
        return bytes(content[:end])

    return st.builds(damage, edits, st.integers(1, len(good)) | st.none())


@pytest.fixture(scope="session")
def good_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    write_all(folder)
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("suffix", sorted(READERS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_give_documents_or_reports(tmp_path, good_files, suffix, data):
    good = good_files.get(suffix) or good_files[".html"]
    content = data.draw(_damaged(good) | st.binary(max_size=200))
    documents, _ = read(tmp_path, f"fuzz{suffix}", content)
    assert all(text.strip() and text.encode() for text in documents.values())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    part=st.sampled_from(["word/document.xml", "[Content_Types].xml", "_rels/.rels", "docProps/core.xml"]),
    content=st.binary(max_size=80),
)
@example(part="word/document.xml", content=b"<w:document/>")
@example(part="_rels/.rels", content=b"<Relationships/>")
def test_a_word_file_with_a_damaged_part_is_reported(tmp_path, good_files, part, content):
    new = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good_files[".docx"])) as old, zipfile.ZipFile(new, "w") as archive:
        for name in old.namelist():
            archive.writestr(name, content if name == part else old.read(name))
    documents, skipped = read(tmp_path, "fuzz.docx", new.getvalue())
    assert bool(documents) != bool(skipped)


@given(rows=st.lists(st.fixed_dictionaries({"text": st.text(min_size=1).filter(str.strip)}), max_size=8))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_jsonl_round_trip(tmp_path, rows):
    documents, skipped = read(tmp_path, "rows.jsonl", "\n".join(json.dumps(row) for row in rows) or "\n")
    assert list(documents.values()) == [row["text"] for row in rows]
    assert skipped == {}
