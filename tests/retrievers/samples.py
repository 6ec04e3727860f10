"""Writes small documents of every format."""

from pathlib import Path


def write_pdf(path: Path, text: str, title: str = "") -> Path:
    """One page, by hand: fonts and offsets as the PDF standard has them."""
    stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode("latin-1")
    fonts = b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents 4 0 R /Resources %s >>" % fonts,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Title (%s) >>" % title.encode("latin-1"),
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    trailer = b"trailer << /Size %d /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n%%%%EOF" % (count, len(body))
    path.write_bytes(body + b"xref\n0 %d\n0000000000 65535 f \n" % count + table + trailer)
    return path


def write_docx(path: Path, title: str = "") -> Path:
    """A paragraph, a table of two rows, a paragraph."""
    import docx

    word = docx.Document()
    word.core_properties.title = title
    word.add_paragraph("Before the table.")
    table = word.add_table(rows=2, cols=2)
    for row, values in enumerate([("drug", "dose"), ("aspirin", "5 mg")]):
        for column, value in enumerate(values):
            table.cell(row, column).text = value
    word.add_paragraph("After the table.")
    word.save(str(path))
    return path


def write_all(folder: Path) -> None:
    """One good file of every format."""
    (folder / "a.txt").write_text("Plain text.")
    (folder / "b.md").write_text("# Heading\n\nMarked text.")
    (folder / "c.html").write_text("<title>Page</title><p>Shown <b>text</b>.</p><script>hidden()</script>")
    write_pdf(folder / "d.pdf", "Portable text.", "Paper")
    write_docx(folder / "e.docx", "Letter")
    (folder / "f.csv").write_text("id,title,text\nr1,First,Row text.\n")
    (folder / "g.jsonl").write_text('{"id": "l1", "title": "Line", "text": "Line text."}\n')
