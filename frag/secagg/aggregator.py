"""The aggregator's side of secure aggregation: passes messages on, and learns the sum of the survivors and no more."""

import hashlib
from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from frag.errors import SecureSumError
from frag.secagg import primitives, shamir
from frag.secagg.messages import Confirmation, Confirmations, Inbox, Keys, Masked, Roster, Shares, Survivors, Unmasking
from frag.secagg.parameters import Parameters
from frag.secagg.participant import CONFIRM, KEYS, keys_parts, roster_digest, survivors_parts
from frag.secagg.ring import RingArray


class Aggregator:
    """Takes messages as they come and closes each stage when the caller says so; who is late has dropped out.

    Args:
        identities: Raw public identities of the nodes that were asked.
        parameters: Of the sum.
    """

    def __init__(self, identities: Mapping[str, bytes], parameters: Parameters) -> None:
        self._identities = identities
        self._parameters = parameters
        self._keys: dict[str, Keys] = {}
        self._roster: Roster | None = None
        self._shares: dict[str, Shares] = {}
        self._masked: set[str] = set()
        self._total: RingArray = np.zeros(parameters.length, np.uint32)
        self._survivors: Survivors | None = None
        self._confirmations: dict[str, bytes] = {}
        self._unmaskings: dict[str, Unmasking] = {}

    def add_keys(self, keys: Keys) -> None:
        """Stage 0. Raises SecureSumError for a signature that is not the node's, and for a second message."""
        parts = keys_parts(self._parameters, keys)
        identity = self._identities.get(keys.name)
        if identity is None or not primitives.is_signed(identity, keys.signature, KEYS, *parts):
            raise SecureSumError(f"The keys of {keys.name} are not signed by it.")
        self._once(keys.name, self._keys)
        self._keys[keys.name] = keys

    def roster(self) -> Roster:
        """Closes stage 0. Raises SecureSumError when too few came."""
        self._enough(self._keys, self._parameters.min_survivors)
        if self._roster is None:
            self._roster = Roster(keys=tuple(self._keys[name] for name in sorted(self._keys)))
        return self._roster

    def add_shares(self, shares: Shares) -> None:
        """Stage 1. Raises SecureSumError when they are not for exactly the node's peers."""
        names = {keys.name for keys in self.roster().keys}
        if shares.name not in names or set(shares.sealed) != names - {shares.name}:
            raise SecureSumError(f"{shares.name} did not send one pair of shares to each peer.")
        self._once(shares.name, self._shares)
        self._shares[shares.name] = shares

    def inbox(self, name: str) -> Inbox:
        """Closes stage 1 for one node: what the others sealed for it."""
        self._enough(self._shares, self._parameters.min_survivors)
        return Inbox(sealed={sender: sent.sealed[name] for sender, sent in self._shares.items() if sender != name})

    def add_masked(self, masked: Masked) -> None:
        """Stage 2: added to the sum at once, so that memory is that of one vector.

        Raises:
            SecureSumError: A second vector, one of another length, or from somebody who sent no shares.
        """
        if masked.name not in self._shares or len(masked.vector) != 4 * self._parameters.length:
            raise SecureSumError(f"{masked.name} sent no vector of this sum.")
        self._once(masked.name, self._masked)
        if self._survivors is not None:
            raise SecureSumError(f"{masked.name} is late.")
        self._masked.add(masked.name)
        self._total = self._total + np.frombuffer(masked.vector, dtype="<u4")

    def survivors(self) -> Survivors:
        """Closes stage 2. Raises SecureSumError when too few vectors came."""
        self._enough(self._masked, self._parameters.min_survivors)
        if self._survivors is None:
            self._survivors = Survivors(shared=tuple(sorted(self._shares)), masked=tuple(sorted(self._masked)))
        return self._survivors

    def add_confirmation(self, confirmation: Confirmation) -> None:
        """Stage 3. Raises SecureSumError for a signature over anything else."""
        about = survivors_parts(self._parameters, roster_digest(self.roster()), self.survivors())
        identity = self._identities.get(confirmation.name, b"")
        if confirmation.name not in self._masked or not primitives.is_signed(
            identity, confirmation.signature, CONFIRM, *about
        ):
            raise SecureSumError(f"{confirmation.name} did not confirm these survivors.")
        self._confirmations[confirmation.name] = confirmation.signature

    def confirmations(self) -> Confirmations:
        """Closes stage 3. Raises SecureSumError when too few confirmed."""
        self._enough(self._confirmations, self._parameters.threshold)
        return Confirmations(signatures=dict(self._confirmations))

    def add_unmasking(self, unmasking: Unmasking) -> None:
        """Stage 4. Raises SecureSumError when the shares are not those of this round."""
        survivors = self.survivors()
        dropped = set(survivors.shared) - set(survivors.masked)
        if unmasking.name not in self._confirmations or (set(unmasking.seeds), set(unmasking.mask_keys)) != (
            set(survivors.masked),
            dropped,
        ):
            raise SecureSumError(f"{unmasking.name} sent other shares than those that were asked for.")
        self._once(unmasking.name, self._unmaskings)
        self._unmaskings[unmasking.name] = unmasking

    def total(self) -> RingArray:
        """The sum of the survivors' vectors, uint32.

        Raises:
            SecureSumError: Too few nodes helped, or their shares open to something else than what was committed to.
        """
        self._enough(self._unmaskings, self._parameters.threshold)
        survivors = self.survivors()
        total = self._total.copy()
        for name in survivors.masked:
            total -= primitives.expand(self._opened_seed(name), len(total))
        for name in set(survivors.shared) - set(survivors.masked):
            self._remove_pairs(total, name, survivors)
        return total

    def _remove_pairs(self, total: RingArray, dropped: str, survivors: Survivors) -> None:
        """Takes the pairwise masks with somebody who dropped out off the survivors' vectors."""
        private = X25519PrivateKey.from_private_bytes(self._opened_mask_key(dropped))
        for name in survivors.masked:
            seed = primitives.agree(private, self._keys[name].mask_key, self._parameters.digest + b"mask")
            mask = primitives.expand(seed, len(total))
            if name < dropped:
                total -= mask
            else:
                total += mask

    def _opened_seed(self, name: str) -> bytes:
        seed = self._combined(name, {helper: sent.seeds[name] for helper, sent in self._unmaskings.items()})
        if hashlib.sha256(seed).digest() != self._keys[name].commitment:
            raise SecureSumError(f"The shares of {name}'s seed are wrong: it or a helper does not follow the protocol.")
        return seed

    def _opened_mask_key(self, name: str) -> bytes:
        key = self._combined(name, {helper: sent.mask_keys[name] for helper, sent in self._unmaskings.items()})
        if X25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw() != self._keys[name].mask_key:
            raise SecureSumError(
                f"The shares of {name}'s mask key are wrong: it or a helper does not follow the protocol."
            )
        return key

    def _combined(self, name: str, by_helper: Mapping[str, bytes]) -> bytes:
        points = {keys.name: place for place, keys in enumerate(self.roster().keys, 1)}
        try:
            return shamir.combine(
                {points[helper]: share for helper, share in by_helper.items()}, self._parameters.threshold
            )
        except ValueError as error:
            raise SecureSumError(f"The secret of {name} cannot be opened: {error}.") from error

    def _once(self, name: str, seen: Mapping[str, object] | set[str]) -> None:
        if name in seen:
            raise SecureSumError(f"{name} sent a second message of one stage; the first counts.")

    def _enough(self, found: Mapping[str, object] | set[str], needed: int) -> None:
        if len(found) < needed:
            raise SecureSumError(f"{len(found)} nodes are left, {needed} needed.")
