"""The handshake: both sides prove themselves, and every deviation is refused."""

import asyncio
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import AuthenticationError, FragError, ProtocolError
from server.wire import identity
from server.wire.codec import encode
from server.wire.handshake import accept_node, coordinator_transcript, node_transcript, prove_node
from server.wire.messages import PROTOCOL_VERSION, Challenge, Proof, Ready
from server.wire.token import format_token, new_token, parse_token

SPKI = b"\x07" * 32


class Pipe:
    """Two channels joined in memory; `tamper` may change what the node sends."""

    def __init__(self, tamper: Callable[[bytes], bytes] = lambda frame: frame) -> None:
        to_node: asyncio.Queue[bytes] = asyncio.Queue()
        to_coordinator: asyncio.Queue[bytes] = asyncio.Queue()
        self.node = _End(to_node, to_coordinator, tamper)
        self.coordinator = _End(to_coordinator, to_node, lambda frame: frame)


class _End:
    def __init__(
        self, inbox: asyncio.Queue[bytes], outbox: asyncio.Queue[bytes], tamper: Callable[[bytes], bytes]
    ) -> None:
        self._inbox, self._outbox, self._tamper = inbox, outbox, tamper
        self.sent: list[bytes] = []

    async def send_bytes(self, frame: bytes) -> None:
        self.sent.append(frame)
        await self._outbox.put(self._tamper(frame))

    async def receive_bytes(self) -> bytes:
        return await self._inbox.get()


NODE_KEY = Ed25519PrivateKey.generate()
COORDINATOR_KEY = Ed25519PrivateKey.generate()


async def shake(
    *,
    node_key: Ed25519PrivateKey = NODE_KEY,
    coordinator_key: Ed25519PrivateKey = COORDINATOR_KEY,
    pinned: Ed25519PrivateKey = COORDINATOR_KEY,
    enrolled: bool = True,
    node_spki: bytes = SPKI,
    pipe: Pipe | None = None,
) -> str:
    async def public_key_of(_node_id: str) -> bytes | None:
        return identity.public_bytes(NODE_KEY) if enrolled else None

    pipe = pipe or Pipe()
    accepting = accept_node(pipe.coordinator, coordinator_key, public_key_of, frozenset({SPKI}))
    proving = prove_node(pipe.node, "clinic-a", node_key, identity.public_bytes(pinned), node_spki)
    results = await asyncio.gather(accepting, proving, return_exceptions=True)
    for result in results:
        if isinstance(result, FragError):
            raise result
    assert isinstance(results[0], str)
    return results[0]


async def test_two_honest_sides_agree() -> None:
    assert await shake() == "clinic-a"


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ({"node_key": Ed25519PrivateKey.generate()}, "bad_signature"),
        ({"enrolled": False}, "not_enrolled"),
        ({"node_spki": b"\x08" * 32}, "wrong_certificate"),
        ({"coordinator_key": Ed25519PrivateKey.generate()}, "could not prove"),
    ],
)
async def test_an_impostor_on_either_side_is_refused(case: dict[str, object], reason: str) -> None:
    with pytest.raises(AuthenticationError, match=reason):
        await shake(**case)  # type: ignore[arg-type]


async def test_a_recorded_proof_is_worthless_on_another_connection() -> None:
    first = Pipe()
    await shake(pipe=first)
    recorded = first.node.sent[0]
    with pytest.raises(AuthenticationError, match="bad_signature"):
        await shake(pipe=Pipe(tamper=lambda _frame: recorded))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xc1garbage",
        encode(Ready(version="1", answer_modes=(), embedder_fingerprint="", num_documents=0)),
        encode(
            Proof(
                protocol_version=99,
                node_id="clinic-a",
                node_nonce=bytes(32),
                spki_sha256=SPKI,
                signature=bytes(64),
            )
        ),
    ],
)
async def test_anything_but_a_proof_of_this_version_is_refused(frame: bytes) -> None:
    pipe = Pipe()
    await pipe.node.send_bytes(frame)
    with pytest.raises(ProtocolError):
        await accept_node(pipe.coordinator, COORDINATOR_KEY, _nobody, frozenset({SPKI}))


async def test_a_node_refuses_another_protocol_version() -> None:
    pipe = Pipe()
    await pipe.coordinator.send_bytes(encode(Challenge(protocol_version=PROTOCOL_VERSION + 1, server_nonce=bytes(32))))
    with pytest.raises(ProtocolError, match="same frag"):
        await prove_node(pipe.node, "clinic-a", NODE_KEY, bytes(32), SPKI)


async def test_a_silent_peer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.wire.handshake.LIMIT_S", 0.05)
    with pytest.raises(TimeoutError):
        await accept_node(Pipe().coordinator, COORDINATOR_KEY, _nobody, frozenset({SPKI}))


async def _nobody(_node_id: str) -> None:
    return None


def test_the_transcripts_are_laid_out_as_specified() -> None:
    expected = b"frag-auth-v1\0" + b"a-1" + b"\0" + b"S" * 32 + b"N" * 32 + b"M" * 32
    assert node_transcript("a-1", b"S" * 32, b"N" * 32, b"M" * 32) == expected
    assert coordinator_transcript("a-1", b"S" * 32, b"N" * 32, b"M" * 32) != expected


def test_a_token_survives_being_copied() -> None:
    token = new_token("clinic-a", "https://frag.example:8470", "ab" * 32)
    assert parse_token(f"  {format_token(token)}\n") == token


@pytest.mark.parametrize("text", ["", "frag1_", "frag1_!!!", "hello", "frag1_" + "A" * 40])
def test_a_damaged_token_says_what_to_do(text: str) -> None:
    with pytest.raises(AuthenticationError, match="frag coordinator token"):
        parse_token(text)


def test_a_token_never_shows_its_secret() -> None:
    token = new_token("clinic-a", "http://127.0.0.1:1", "ab" * 32)
    assert str(token.secret) not in repr(token)
