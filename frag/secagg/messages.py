"""What travels. Every field that a peer fills is bounded; bytes are raw."""

from typing import Annotated

import msgspec

from frag.secagg.parameters import MAX_COMPLETE

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}$")]
Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Sealed = Annotated[bytes, msgspec.Meta(min_length=1, max_length=512)]
Share = Annotated[bytes, msgspec.Meta(min_length=66, max_length=66)]
_Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_COMPLETE)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    pass


class Keys(_Message, frozen=True, kw_only=True, array_like=True):
    """Stage 0, node: fresh keys for channels and masks, a commitment to the own seed, signed with the identity."""

    name: Name
    channel_key: Key
    mask_key: Key
    commitment: Key
    signature: Signature


class Roster(_Message, frozen=True, kw_only=True, array_like=True):
    """Stage 0, aggregator: everybody's keys."""

    keys: Annotated[tuple[Keys, ...], msgspec.Meta(max_length=MAX_COMPLETE)]


class Shares(_Message, frozen=True, kw_only=True, array_like=True):
    """Stage 1, node: a sealed pair of shares for every peer; for one node, the aggregator passes them on."""

    name: Name
    sealed: Annotated[dict[Name, Sealed], msgspec.Meta(max_length=MAX_COMPLETE)]


class Inbox(_Message, frozen=True, kw_only=True, array_like=True):
    """Stage 1, aggregator, to one node: what its peers sealed for it, by sender."""

    sealed: Annotated[dict[Name, Sealed], msgspec.Meta(max_length=MAX_COMPLETE)]


class Masked(_Message, frozen=True, kw_only=True, array_like=True):
    """Stage 2, node: little-endian uint32."""

    name: Name
    vector: bytes


class Survivors(_Message, frozen=True, kw_only=True, array_like=True):
    """Stage 2, aggregator: whose shares had come, and whose vectors."""

    shared: _Names
    masked: _Names


class Confirmation(_Message, frozen=True, kw_only=True, array_like=True):
    """Stage 3, node: that these are the survivors, signed."""

    name: Name
    signature: Signature


class Confirmations(_Message, frozen=True, kw_only=True, array_like=True):
    """Stage 3, aggregator: everybody's confirmation."""

    signatures: Annotated[dict[Name, Signature], msgspec.Meta(max_length=MAX_COMPLETE)]


class Unmasking(_Message, frozen=True, kw_only=True, array_like=True):
    """Stage 4, node: shares of the seeds of survivors and of the mask keys of those who dropped out; never both."""

    name: Name
    seeds: Annotated[dict[Name, Share], msgspec.Meta(max_length=MAX_COMPLETE)]
    mask_keys: Annotated[dict[Name, Share], msgspec.Meta(max_length=MAX_COMPLETE)]
