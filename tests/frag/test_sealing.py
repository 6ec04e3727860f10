"""Envelopes: only the right key, on the right way, unchanged; their length shows in steps of 256 bytes only."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from frag.errors import SealingError
from frag.sealing import OVERHEAD_BYTES, PAD_BYTES, check_card, info_of, make_card, require_signature, seal, unseal

SIGNER, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
KEY, OTHER_KEY = X25519PrivateKey.generate(), X25519PrivateKey.generate()
ID = bytes(range(16))
INFO = info_of("ask", "clinic-a", ID)


def public(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


@given(st.binary(max_size=2000))
@settings(max_examples=60, deadline=None)
def test_what_was_sealed_opens_and_says_who_wrote_it(content: bytes) -> None:
    envelope = seal(content, SIGNER, public(KEY), INFO)
    opened = unseal(envelope, KEY, INFO)
    assert opened.content == content
    require_signature(opened, public(SIGNER), public(KEY), INFO)
    with pytest.raises(SealingError, match="not signed"):
        require_signature(opened, public(OTHER), public(KEY), INFO)


@pytest.mark.parametrize(("size", "padded"), [(0, 256), (188, 256), (189, 512), (444, 512), (445, 768)])
def test_the_length_shows_in_steps_of_256_bytes(size: int, padded: int) -> None:
    # 4 bytes of length and 64 of signature travel along
    assert len(seal(bytes(size), SIGNER, public(KEY), INFO)) == padded + OVERHEAD_BYTES


@given(st.integers(0, PAD_BYTES + OVERHEAD_BYTES - 1), st.integers(1, 255))
@settings(max_examples=80, deadline=None)
def test_a_changed_envelope_does_not_open(at: int, change: int) -> None:
    envelope = bytearray(seal(b"where is it?", SIGNER, public(KEY), INFO))
    envelope[at] ^= change
    with pytest.raises(SealingError):
        unseal(bytes(envelope), KEY, INFO)


@pytest.mark.parametrize("cut", [0, 1, 31, 47, 48, 303])
def test_a_cut_envelope_does_not_open(cut: int) -> None:
    with pytest.raises(SealingError):
        unseal(seal(b"q", SIGNER, public(KEY), INFO)[:cut], KEY, INFO)


def test_an_envelope_is_bound_to_its_key_node_request_and_direction() -> None:
    envelope = seal(b"q", SIGNER, public(KEY), INFO)
    with pytest.raises(SealingError):
        unseal(envelope, OTHER_KEY, INFO)
    for info in (
        info_of("ask", "clinic-b", ID),
        info_of("ask", "clinic-a", bytes(16)),
        info_of("reply", "clinic-a", ID),
    ):
        with pytest.raises(SealingError):
            unseal(envelope, KEY, info)


def test_who_opened_it_cannot_pass_it_on_as_written_to_another() -> None:
    opened = unseal(seal(b"q", SIGNER, public(KEY), INFO), KEY, INFO)
    with pytest.raises(SealingError, match="not signed"):
        require_signature(opened, public(SIGNER), public(OTHER_KEY), INFO)


def test_a_padding_that_says_something_is_refused() -> None:
    from frag import sealing

    plain = bytearray(sealing._padded(b"q", bytes(64)))
    plain[-1] = 1
    envelope = sealing._SUITE.encrypt(bytes(plain), KEY.public_key(), INFO)
    with pytest.raises(SealingError, match="padded"):
        unseal(envelope, KEY, INFO)


def test_a_key_of_small_order_is_refused() -> None:
    with pytest.raises(SealingError):
        seal(b"q", SIGNER, bytes(32), INFO)


def test_a_card_holds_for_its_node_identity_and_time() -> None:
    card = make_card("clinic-a", SIGNER, public(KEY), expires_at=1000)
    check_card(card, "clinic-a", public(SIGNER), now=999)
    for node, identity, now, code in (
        ("clinic-b", public(SIGNER), 999, "untrusted_key"),
        ("clinic-a", public(OTHER), 999, "untrusted_key"),
        ("clinic-a", public(SIGNER), 1000, "expired_key"),
    ):
        with pytest.raises(SealingError) as refused:
            check_card(card, node, identity, now)
        assert refused.value.code == code


def test_a_card_with_another_key_or_date_under_the_old_signature_is_refused() -> None:
    import msgspec

    card = make_card("clinic-a", SIGNER, public(KEY), expires_at=1000)
    for changed in ({"public_key": public(OTHER_KEY)}, {"expires_at": 2000}, {"signature": bytes(64)}):
        with pytest.raises(SealingError, match="not signed"):
            check_card(msgspec.structs.replace(card, **changed), "clinic-a", public(SIGNER), now=0)
