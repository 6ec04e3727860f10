"""What is said of documents, and of what was done to them."""

import msgspec

from server.node.training.forgetting import Forgotten


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What a PUT did. `documents` are the ids that the file's text is found under: its own, or those of its rows."""

    collection: str
    document_id: str
    documents: list[str]
    skipped: dict[str, str]
    created: bool
    training: Forgotten = Forgotten()
    """What was taken out of training, since the document no longer says it."""


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What a DELETE did. Text that was deleted leaves the index files for good with `frag node compact`."""

    collection: str
    document_id: str
    documents: list[str]
    training: Forgotten
    is_settled: bool = True
    """False: an ingest runs that may have read the document before, so that it might come back."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A document without its text. `modified_at` and `num_bytes` are those of its file, if that is still there."""

    collection: str
    document_id: str
    num_chars: int
    num_chunks: int
    num_bytes: int | None
    modified_at: str | None
