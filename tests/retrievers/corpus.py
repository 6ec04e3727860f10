"""Small documents, and what a store says of them in short."""

from frag.types import Document, RetrievalMode


def document(document_id, text, title=""):
    return Document(document_id=document_id, text=text, title=title)


def numbered(count, first=0):
    return [document(f"d{n:04}", f"Document number{n} tells of topic{n}.") for n in range(first, first + count)]


def found(store, question, mode=RetrievalMode.HYBRID, top_k=1):
    return [hit.document_id for hit in store.search(question, top_k, mode)]


def counts(report):
    return report.added, report.updated, report.unchanged, report.removed
