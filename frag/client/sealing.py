"""Feedback sealed at the asker, to nodes whose identities it knows from somebody else than the coordinator."""

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.client.views import NodeInfo
from frag.errors import BadRequestError, SealingError
from frag.feedback import MAX_CORRECTION_CHARS, Rating, rating_of, seal_remark
from frag.sealing import KeyCard, check_card


@dataclass(frozen=True, slots=True)
class Sealing:
    """`identities`: raw Ed25519 keys of nodes by name, from a roster; `signer`: who says it."""

    identities: Mapping[str, bytes]
    signer: Ed25519PrivateKey = field(repr=False)

    def seal(
        self,
        query_id: str,
        rating: Rating | str,
        correction: str,
        nodes: Sequence[str] | None,
        infos: Sequence[NodeInfo],
    ) -> dict[str, str]:
        """An envelope for each of `nodes`, in base64.

        Raises:
            BadRequestError: No node is named, the id is none, or the correction is too long.
            SealingError: A node is not known, or offers no key that its identity signed.
        """
        if not nodes:
            raise BadRequestError("Sealed feedback names its nodes.", "Give those that contributed to the answer.")
        if len(correction) > MAX_CORRECTION_CHARS:
            raise BadRequestError(f"A correction has at most {MAX_CORRECTION_CHARS} characters.", "Shorten it.")
        offered = {info.node: info.sealing_key for info in infos}
        sealed = {}
        for node in nodes:
            card = self._card(node, offered.get(node))
            envelope = seal_remark(
                rating_of(rating),
                correction,
                signer=self.signer,
                recipient=card.public_key,
                node_id=node,
                query_id=_id_bytes(query_id),
            )
            sealed[node] = base64.b64encode(envelope).decode()
        return sealed

    def _card(self, node: str, offered: object) -> KeyCard:
        if node not in self.identities:
            raise SealingError(f"{node} is not in the roster.", code="not_in_roster")
        try:
            card = msgspec.convert(offered, KeyCard)
        except msgspec.ValidationError as error:
            raise SealingError(f"{node} offers no sealing key.", code="not_offered") from error
        check_card(card, node, self.identities[node], time.time())
        return card


def _id_bytes(query_id: str) -> bytes:
    try:
        return bytes.fromhex(query_id)
    except ValueError as error:
        raise BadRequestError("A query id has 32 hex digits.", "Use the query_id of an answer.") from error
