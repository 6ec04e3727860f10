"""What a secure sum costs: processor time and upload of a node, and the aggregator's opening of the sum."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.secagg import Aggregator, Parameters, Participant

_M = TypeVar("_M", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecaggReport:
    """`upload_ratio` is to a float32 vector of the same length; `client_cpu_ms` is the median over the survivors."""

    nodes: int
    length: int
    dropped: int
    client_cpu_ms: float
    upload_bytes: int
    upload_ratio: float
    open_s: float
    is_exact: bool


class _Costs:
    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = {}
        self.num_bytes: dict[str, int] = {}

    def of(self, name: str, make: Callable[[], _M]) -> _M:
        """A node's message, its processor time and its size on the wire."""
        started = time.process_time()
        message = make()
        self.cpu_s[name] = self.cpu_s.get(name, 0.0) + time.process_time() - started
        self.num_bytes[name] = self.num_bytes.get(name, 0) + len(msgspec.msgpack.encode(message))
        return message


def measure_secagg(num_nodes: int, length: int, dropout: float) -> SecaggReport:
    """One sum in this process; a share `dropout` of the nodes is gone before the vectors are sent.

    Raises:
        SettingsError: Secure aggregation is not for so many nodes.
        SecureSumError: Too many have dropped out.
    """
    parameters = Parameters(session="bench/0", num_nodes=num_nodes, length=length)
    keys = {f"node-{number}": Ed25519PrivateKey.generate() for number in range(num_nodes)}
    public = {name: key.public_key().public_bytes_raw() for name, key in keys.items()}
    nodes = {name: Participant(name, key, public, parameters) for name, key in keys.items()}
    aggregator, costs = Aggregator(public, parameters), _Costs()
    vector = np.random.default_rng(0).integers(0, 2**32, length, dtype=np.uint32)
    for name, node in nodes.items():
        aggregator.add_keys(costs.of(name, node.advertise))
    roster = aggregator.roster()
    for name, node in nodes.items():
        aggregator.add_shares(costs.of(name, lambda node=node: node.share(roster)))  # type: ignore[misc]
    survivors = list(nodes)[: num_nodes - round(num_nodes * dropout)]
    for name in survivors:
        inbox = aggregator.inbox(name)
        aggregator.add_masked(costs.of(name, lambda name=name, inbox=inbox: nodes[name].mask(inbox, vector)))  # type: ignore[misc]
    told = aggregator.survivors()
    for name in survivors:
        aggregator.add_confirmation(costs.of(name, lambda name=name: nodes[name].confirm(told)))  # type: ignore[misc]
    confirmed = aggregator.confirmations()
    for name in survivors:
        aggregator.add_unmasking(costs.of(name, lambda name=name: nodes[name].unmask(confirmed)))  # type: ignore[misc]
    started = time.perf_counter()
    total = aggregator.total()
    upload = int(np.median([costs.num_bytes[name] for name in survivors]))
    return SecaggReport(
        nodes=num_nodes,
        length=length,
        dropped=num_nodes - len(survivors),
        client_cpu_ms=round(float(np.median([costs.cpu_s[name] for name in survivors])) * 1e3, 2),
        upload_bytes=upload,
        upload_ratio=round(upload / (4 * length), 4),
        open_s=round(time.perf_counter() - started, 4),
        is_exact=bool((total == vector * np.uint32(len(survivors))).all()),
    )
