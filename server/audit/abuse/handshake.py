"""A connection that is not what it says: wrong keys, recorded proofs, wrong certificates, wrong frames."""

import asyncio
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import FragError
from server.audit.abuse.case import Case
from server.wire import identity
from server.wire.codec import decode_to_coordinator, encode
from server.wire.handshake import accept_node, prove_node
from server.wire.messages import PROTOCOL_VERSION, Cancel, Proof, Ready

_SPKI = b"\x07" * 32
_NODE, _COORDINATOR, _STRANGER = (Ed25519PrivateKey.generate() for _ in range(3))
Tamper = Callable[[bytes], bytes]


class _End:
    """One end of a channel in memory; `tamper` may change what it sends."""

    def __init__(self, inbox: "asyncio.Queue[bytes]", outbox: "asyncio.Queue[bytes]", tamper: Tamper) -> None:
        self._inbox, self._outbox, self._tamper = inbox, outbox, tamper
        self.sent: list[bytes] = []

    async def send_bytes(self, frame: bytes) -> None:
        self.sent.append(frame)
        await self._outbox.put(self._tamper(frame))

    async def receive_bytes(self) -> bytes:
        return await self._inbox.get()


def connect(
    *,
    key: Ed25519PrivateKey = _NODE,
    coordinator: Ed25519PrivateKey = _COORDINATOR,
    spki: bytes = _SPKI,
    node_id: str = "node-a",
    tamper: Tamper = bytes,
) -> list[bytes]:
    """Both sides of a handshake; returns what the node sent. Raises the first refusal of either side."""

    async def public_key_of(name: str) -> bytes | None:
        return identity.public_bytes(_NODE) if name == "node-a" else None

    async def play() -> list[bytes]:
        up: asyncio.Queue[bytes] = asyncio.Queue()
        down: asyncio.Queue[bytes] = asyncio.Queue()
        node, server = _End(down, up, tamper), _End(up, down, bytes)
        accepting = asyncio.ensure_future(accept_node(server, coordinator, public_key_of, frozenset({_SPKI})))
        proving = asyncio.ensure_future(prove_node(node, node_id, key, identity.public_bytes(_COORDINATOR), spki))
        done, pending = await asyncio.wait({accepting, proving}, return_when=asyncio.FIRST_EXCEPTION)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for error in [task.exception() for task in done]:
            if isinstance(error, FragError):
                raise error
        return node.sent

    return asyncio.run(play())


def _changed(**changes: object) -> Tamper:
    """Replaces fields of the proof that passes by, as somebody in the middle would."""
    import msgspec

    def tamper(frame: bytes) -> bytes:
        proof = decode_to_coordinator(frame)
        return encode(msgspec.structs.replace(proof, **changes)) if isinstance(proof, Proof) else frame

    return tamper


def _replayed() -> object:
    recorded = connect()[0]
    return connect(tamper=lambda _frame: recorded)


def cases() -> list[Case]:
    """Of the handshake."""
    early = encode(Ready(version="1", answer_modes=(), embedder_fingerprint="", num_documents=0))
    return [
        Case("an enrolled node", connect, honest=True),
        Case("bad signature: another key", lambda: connect(key=_STRANGER)),
        Case("bad signature: zeros", lambda: connect(tamper=_changed(signature=bytes(64)))),
        Case("replay of a recorded proof", _replayed),
        Case("another node's name", lambda: connect(tamper=_changed(node_id="node-b"))),
        Case("a node that is not enrolled", lambda: connect(node_id="node-b")),
        Case("another nonce", lambda: connect(tamper=_changed(node_nonce=bytes(32)))),
        Case("another certificate", lambda: connect(spki=b"\x08" * 32)),
        Case("a relayed proof for another certificate", lambda: connect(tamper=_changed(spki_sha256=bytes(32)))),
        Case("a coordinator with another key", lambda: connect(coordinator=_STRANGER)),
        Case("another protocol version", lambda: connect(tamper=_changed(protocol_version=PROTOCOL_VERSION + 1))),
        Case("ready without a proof", lambda: connect(tamper=lambda _frame: early)),
        Case("a message of the other side", lambda: connect(tamper=lambda _frame: encode(Cancel(request_id=1)))),
        Case("garbage", lambda: connect(tamper=lambda _frame: b"\xc1garbage")),
        Case("nothing", lambda: connect(tamper=lambda _frame: b"")),
    ]
