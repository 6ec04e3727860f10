"""A node's side of secure aggregation."""

import enum
import hashlib
import os
from collections.abc import Collection, Mapping

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from frag.errors import SecureSumError
from frag.secagg import primitives, shamir
from frag.secagg.messages import (
    Confirmation,
    Confirmations,
    Inbox,
    Keys,
    Masked,
    Roster,
    Shares,
    Survivors,
    Unmasking,
)
from frag.secagg.parameters import Parameters
from frag.secagg.ring import RingArray

KEYS, CONFIRM = b"frag-secagg-keys-v1", b"frag-secagg-survivors-v1"


class _Stage(enum.IntEnum):
    NEW = 0
    ADVERTISED = 1
    SHARED = 2
    MASKED = 3
    CONFIRMED = 4
    UNMASKED = 5


class Participant:
    """Takes each stage once and in order; anything else is refused, and says nothing more.

    Args:
        name: Of this node.
        identity: Its Ed25519 key.
        peers: Raw public identities of the nodes that may take part, this one included: pinned from the signed roster,
            or told by the coordinator, which then could invent some.
        parameters: Of the sum.
    """

    def __init__(
        self, name: str, identity: Ed25519PrivateKey, peers: Mapping[str, bytes], parameters: Parameters
    ) -> None:
        self._name = name
        self._identity = identity
        self._peers = peers
        self._parameters = parameters
        self._stage = _Stage.NEW
        self._channel = X25519PrivateKey.generate()
        self._mask = X25519PrivateKey.generate()
        self._seed = os.urandom(primitives.SEED_BYTES)
        self._roster: dict[str, Keys] = {}
        self._roster_digest = b""
        self._opened: dict[str, tuple[bytes, bytes]] = {}
        self._survivors: Survivors | None = None

    def advertise(self) -> Keys:
        """Stage 0: fresh public keys, signed."""
        self._enter(_Stage.ADVERTISED)
        unsigned = Keys(
            name=self._name,
            channel_key=self._channel.public_key().public_bytes_raw(),
            mask_key=self._mask.public_key().public_bytes_raw(),
            commitment=hashlib.sha256(self._seed).digest(),
            signature=b"",
        )
        signature = primitives.sign(self._identity, KEYS, *keys_parts(self._parameters, unsigned))
        return msgspec.structs.replace(unsigned, signature=signature)

    def share(self, roster: Roster) -> Shares:
        """Stage 1: checks everybody's keys and seals a pair of shares for each.

        Raises:
            SecureSumError: Too few nodes, one twice, an unknown one, a wrong signature, or this node's keys replaced.
        """
        self._enter(_Stage.SHARED)
        self._check_roster(roster)
        self._roster = {keys.name: keys for keys in roster.keys}
        names = sorted(self._roster)
        self._roster_digest = roster_digest(roster)
        threshold = self._parameters.threshold
        seeds = shamir.split(self._seed, threshold, len(names))
        mask_keys = shamir.split(self._mask.private_bytes_raw(), threshold, len(names))
        pairs = dict(zip(names, zip(seeds, mask_keys, strict=True), strict=True))
        self._opened[self._name] = pairs.pop(self._name)
        sealed = {
            peer: primitives.seal(self._channel_key(peer), b"".join(pair), self._route(self._name, peer))
            for peer, pair in pairs.items()
        }
        return Shares(name=self._name, sealed=sealed)

    def _check_roster(self, roster: Roster) -> None:
        names = [keys.name for keys in roster.keys]
        if len(set(names)) != len(names) or not self._parameters.min_survivors <= len(names) <= self._num_nodes:
            raise SecureSumError(f"The roster of {len(names)} nodes is not one that this sum may have.")
        for keys in roster.keys:
            identity = self._peers.get(keys.name)
            parts = keys_parts(self._parameters, keys)
            if identity is None or not primitives.is_signed(identity, keys.signature, KEYS, *parts):
                raise SecureSumError(f"The keys of {keys.name} are not signed by the node that is known by that name.")
        mine = next((keys for keys in roster.keys if keys.name == self._name), None)
        if mine is None or mine.mask_key != self._mask.public_key().public_bytes_raw():
            raise SecureSumError("The roster does not hold this node's own keys.")

    @property
    def _num_nodes(self) -> int:
        return self._parameters.num_nodes

    def mask(self, inbox: Inbox, vector: RingArray) -> Masked:
        """Stage 2: opens the shares of all who sent some, and hides the vector under pairwise masks and its own.

        Raises:
            SecureSumError: Too few sent shares, one was altered, or the vector has another length.
        """
        self._enter(_Stage.MASKED)
        if vector.shape != (self._parameters.length,) or vector.dtype != np.uint32:
            raise SecureSumError(
                f"The vector is {vector.dtype} {vector.shape}, not uint32 [{self._parameters.length}]."
            )
        for peer, sealed in inbox.sealed.items():
            if peer not in self._roster or peer == self._name:
                raise SecureSumError(f"Shares came from {peer}, who is not a peer.")
            pair = primitives.unseal(self._channel_key(peer), sealed, self._route(peer, self._name))
            self._opened[peer] = pair[: shamir.SHARE_BYTES], pair[shamir.SHARE_BYTES :]
        if len(self._opened) < self._parameters.min_survivors:
            raise SecureSumError(f"Shares of {len(self._opened)} nodes came, {self._parameters.min_survivors} needed.")
        masked = vector + primitives.expand(self._seed, len(vector))
        for peer in self._opened:
            if peer != self._name:
                secret = self._pair_seed(peer)
                pair_mask = primitives.expand(secret, len(vector))
                masked = masked + pair_mask if self._name < peer else masked - pair_mask
        return Masked(name=self._name, vector=masked.astype("<u4").tobytes())

    def confirm(self, survivors: Survivors) -> Confirmation:
        """Stage 3: signs who survived; from now on no other set will be unmasked.

        Raises:
            SecureSumError: Too few survivors, unknown ones, or this node is not among them.
        """
        self._enter(_Stage.CONFIRMED)
        shared, masked = set(survivors.shared), set(survivors.masked)
        if not (masked <= shared and shared == set(self._opened) and self._name in masked):
            raise SecureSumError("The survivors are not among those whose shares this node holds.")
        if len(masked) < self._parameters.min_survivors:
            raise SecureSumError(f"{len(masked)} vectors came, {self._parameters.min_survivors} needed.")
        self._survivors = survivors
        return Confirmation(
            name=self._name, signature=primitives.sign(self._identity, CONFIRM, *self._about(survivors))
        )

    def _about(self, survivors: Survivors) -> tuple[bytes, ...]:
        return survivors_parts(self._parameters, self._roster_digest, survivors)

    def unmask(self, confirmations: Confirmations) -> Unmasking:
        """Stage 4: gives a seed's share for each survivor, and a mask key's for each who dropped out.

        Raises:
            SecureSumError: Fewer than the threshold confirmed the same survivors as this node.
        """
        self._enter(_Stage.UNMASKED)
        survivors = self._survivors
        if survivors is None:
            raise SecureSumError("Nothing was confirmed.")
        about = self._about(survivors)
        agreed = [
            name
            for name, signature in confirmations.signatures.items()
            if name in survivors.masked and primitives.is_signed(self._peers[name], signature, CONFIRM, *about)
        ]
        if len(agreed) < self._parameters.threshold:
            raise SecureSumError(
                f"{len(agreed)} nodes confirmed the same survivors, {self._parameters.threshold} needed."
            )
        masked: Collection[str] = set(survivors.masked)
        return Unmasking(
            name=self._name,
            seeds={peer: pair[0] for peer, pair in self._opened.items() if peer in masked},
            mask_keys={peer: pair[1] for peer, pair in self._opened.items() if peer not in masked},
        )

    def _enter(self, stage: _Stage) -> None:
        if self._stage != stage - 1:
            raise SecureSumError(f"The stage {stage.name.lower()} does not follow {self._stage.name.lower()}.")
        self._stage = stage

    def _channel_key(self, peer: str) -> bytes:
        return primitives.agree(self._channel, self._roster[peer].channel_key, self._parameters.digest + b"channel")

    def _pair_seed(self, peer: str) -> bytes:
        return primitives.agree(self._mask, self._roster[peer].mask_key, self._parameters.digest + b"mask")

    def _route(self, sender: str, receiver: str) -> bytes:
        return self._parameters.digest + self._roster_digest + f"{sender}\0{receiver}".encode()


def keys_parts(parameters: Parameters, keys: Keys) -> tuple[bytes, ...]:
    """What a node signs of its fresh keys."""
    return parameters.digest, keys.name.encode(), keys.channel_key, keys.mask_key, keys.commitment


def roster_digest(roster: Roster) -> bytes:
    """32 bytes that stand for all keys: two nodes that were shown different rosters agree on nothing."""
    digest = hashlib.sha256()
    for keys in sorted(roster.keys, key=lambda keys: keys.name):
        digest.update(keys.name.encode() + b"\0" + keys.channel_key + keys.mask_key + keys.commitment)
    return digest.digest()


def survivors_parts(parameters: Parameters, digest: bytes, survivors: Survivors) -> tuple[bytes, ...]:
    """What a confirmation signs."""
    shared, masked = (" ".join(sorted(names)).encode() for names in (survivors.shared, survivors.masked))
    return parameters.digest, digest, shared, masked
