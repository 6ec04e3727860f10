"""What a search in a node's collections found, and how its documents are named to strangers."""

import hashlib
import hmac
from dataclasses import dataclass

from frag.types import Hit
from retrievers.store import DocumentStore


@dataclass(frozen=True, slots=True)
class Found:
    """A hit, and the collection and index that it lies in."""

    collection: str
    hit: Hit
    index: DocumentStore


def document_alias(key: bytes, collection: str, document_id: str) -> str:
    """A pseudonym that only the node can resolve: 16 hex digits of HMAC-SHA256 under its own key."""
    name = f"{collection}\0{document_id}".encode()
    return hmac.new(key, name, hashlib.sha256).hexdigest()[:16]
