"""What a search in a node's collections found, and how its documents are named to strangers."""

import hashlib
import hmac
from dataclasses import dataclass, replace

from frag.types import Hit, NodeAnswer, Scale
from retrievers.store import DocumentStore


@dataclass(frozen=True, slots=True)
class Found:
    """A hit, and the collection and index that it lies in."""

    collection: str
    hit: Hit
    index: DocumentStore


@dataclass(frozen=True, slots=True)
class Scores:
    """What the scores of a search were made with: the embedder's fingerprint, and how it compares with others."""

    embedder: str
    scale: Scale | None

    def noted(self, answer: NodeAnswer) -> NodeAnswer:
        """The answer that says so; one that is withheld tells nothing."""
        return answer if answer.withheld else replace(answer, embedder=self.embedder, scale=self.scale)


def document_alias(key: bytes, collection: str, document_id: str) -> str:
    """A pseudonym that only the node can resolve: 16 hex digits of HMAC-SHA256 under its own key."""
    name = f"{collection}\0{document_id}".encode()
    return hmac.new(key, name, hashlib.sha256).hexdigest()[:16]
