"""A node's part in the secure sum of a round: one participant a round, and at most one masked vector, ever.

Two sums of the same update over different nodes would tell them apart, so a round whose vector has left is not summed
again, also after a restart.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.durable import write_private
from frag.errors import SecureSumError
from frag.secagg import Parameters, Participant
from frag.secagg.messages import Confirmations, Inbox, Key, Name, Roster, Survivors
from frag.updates import Weights
from prompt_tuning.job import JobSettings
from prompt_tuning.secure_mean import SecureSettings, encode_update
from server.node.training.desk import Carrier
from server.node.training.orders import Done
from server.wire.messages import SumStage

_T = TypeVar("_T")


class SumStart(msgspec.Struct, frozen=True, kw_only=True):
    """How a sum begins: who takes part, by raw public identity, as the coordinator tells it."""

    peers: dict[Name, Key]


class SumDesk:
    """Carries out stages in order; anything else is refused and ends the node's part.

    Args:
        node_id: Of this node.
        identity: Its Ed25519 key.
        folder: Where the training desk keeps updates, by job.
        exchange: Where masked vectors are brought.
        pinned: Raw public identities by node id, from the signed roster; None where there is no roster, and the
            coordinator is believed.
    """

    def __init__(
        self,
        *,
        node_id: str,
        identity: Ed25519PrivateKey,
        folder: Path,
        exchange: Carrier,
        pinned: Mapping[str, bytes] | None = None,
    ) -> None:
        self._node_id = node_id
        self._identity = identity
        self._folder = folder.resolve()
        self._exchange = exchange
        self._pinned = pinned
        self._current: tuple[tuple[str, int], Participant, int] | None = None
        self._turn = asyncio.Lock()  # two stages at once could both find that no vector has left yet

    async def carry_out(self, request: SumStage) -> bytes:
        """One stage; returns the reply. Raises SecureSumError."""
        try:
            async with self._turn:
                return await self._stage(request)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SecureSumError(f"The stage {request.stage} came with something else: {error}.") from error

    async def _stage(self, request: SumStage) -> bytes:
        if request.stage == "keys":
            return _packed(await asyncio.to_thread(self._begin, request))
        participant, num_nodes = self._participant(request)
        match request.stage:
            case "shares":
                return _packed(await asyncio.to_thread(participant.share, _read(request, Roster)))
            case "masked":
                masked = await asyncio.to_thread(self._mask, request, participant, num_nodes)
                await self._exchange.bring(request.ticket, masked)
                return b""
            case "confirm":
                return _packed(await asyncio.to_thread(participant.confirm, _read(request, Survivors)))
            case "unmask":
                return _packed(await asyncio.to_thread(participant.unmask, _read(request, Confirmations)))

    def _begin(self, request: SumStage) -> msgspec.Struct:
        if self._marker(request).exists():
            raise SecureSumError("This round's update has left this node masked; it is not sent twice.")
        peers = _read(request, SumStart).peers
        if self._pinned is not None and any(self._pinned.get(name) != key for name, key in peers.items()):
            raise SecureSumError("A peer is not the one that the signed roster names.")
        if self._node_id not in peers:
            raise SecureSumError("This node is not among those that the sum is over.")
        update = _update(self._folder, request)
        parameters = Parameters(
            session=f"{request.job_id}/{request.round_num}/{request.weights_sha256}",
            num_nodes=len(peers),
            length=sum(value.size for value in update.values()) + 1,
        )
        participant = Participant(self._node_id, self._identity, peers, parameters)
        self._current = ((request.job_id, request.round_num), participant, len(peers))
        return participant.advertise()

    def _participant(self, request: SumStage) -> tuple[Participant, int]:
        if self._current is None or self._current[0] != (request.job_id, request.round_num):
            raise SecureSumError("There is no sum of this round under way here.")
        return self._current[1], self._current[2]

    def _mask(self, request: SumStage, participant: Participant, num_nodes: int) -> bytes:
        """The marker is durable before the vector leaves."""
        settings = _settings(self._folder / request.job_id)
        update = _update(self._folder, request)
        done = msgspec.json.decode((_stem(self._folder, request, "done").with_suffix(".json")).read_bytes(), type=Done)
        vector = encode_update(update, done.num_examples, settings, num_nodes)
        masked = participant.mask(_read(request, Inbox), vector)
        write_private(self._marker(request), b"")
        return masked.vector

    def _marker(self, request: SumStage) -> Path:
        return self._folder / request.job_id / f"summed-{request.round_num}"


def _settings(job_folder: Path) -> SecureSettings:
    job = JobSettings.model_validate_json((job_folder / "job.json").read_bytes())
    if not isinstance(job.aggregation, SecureSettings):
        raise SecureSumError("The job does not sum securely.")
    return job.aggregation


def _update(folder: Path, request: SumStage) -> Weights:
    """This node's own update of the round. Raises SecureSumError when it has not trained it."""
    from safetensors.numpy import load

    try:
        content = _stem(folder, request, "update").read_bytes()
    except OSError as error:
        raise SecureSumError("This node has no update of this round.") from error
    loaded: Weights = load(content)
    return loaded


def _stem(folder: Path, request: SumStage, kind: str) -> Path:
    return folder / request.job_id / f"{kind}-{request.round_num}-{request.weights_sha256[:16]}"


def _packed(message: msgspec.Struct) -> bytes:
    return msgspec.msgpack.encode(message)


def _read(request: SumStage, kind: type[_T]) -> _T:
    return msgspec.msgpack.decode(request.content, type=kind)
