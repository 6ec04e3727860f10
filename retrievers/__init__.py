"""Documents to passages: load, chunk, embed, index, search, keep up to date. Usable alone:

>>> from retrievers import DocumentStore, SentenceEmbedder
>>> store = DocumentStore.open("index", SentenceEmbedder("models/all-minilm-l6-v2"))
>>> report = store.ingest("documents")
>>> for hit in store.search("Who invented the telephone?", top_k=3):
...     print(f"{hit.score:.2f} {hit.document_id}: {hit.text}")

Knows nothing of language models, training or networks.
"""

from retrievers.chunking import chunk_document
from retrievers.documents import SkippedFile, load_documents
from retrievers.embedding import SentenceEmbedder
from retrievers.reading import DocumentInfo
from retrievers.store import DocumentStore, IngestReport, count_documents
from retrievers.vector_index import VectorIndex

__all__ = [
    "DocumentInfo",
    "DocumentStore",
    "IngestReport",
    "SentenceEmbedder",
    "SkippedFile",
    "VectorIndex",
    "chunk_document",
    "count_documents",
    "load_documents",
]
