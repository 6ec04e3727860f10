"""A node's sealing keys: kept over restarts, renewed at half life, gone when expired."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.errors import SettingsError
from frag.sealing import check_card
from server.sealed.keys import LIFETIME_S, SealingKeys

IDENTITY = Ed25519PrivateKey.generate()


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_key_survives_a_restart_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    clock = Clock()
    card = SealingKeys(tmp_path, "a", IDENTITY, clock).card()
    again = SealingKeys(tmp_path, "a", IDENTITY, clock)
    assert again.card() == card
    check_card(card, "a", IDENTITY.public_key().public_bytes_raw(), clock.now)
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]


def test_a_key_is_replaced_at_half_its_life_and_opens_until_its_end(tmp_path: Path) -> None:
    clock = Clock()
    keys = SealingKeys(tmp_path, "a", IDENTITY, clock)
    first = keys.card()
    clock.now += LIFETIME_S / 2 + 1
    second = keys.card()
    assert second.public_key != first.public_key
    opens = [key.public_key().public_bytes_raw() for key in keys.in_force()]
    assert opens == [second.public_key, first.public_key]
    clock.now += LIFETIME_S / 2
    keys.card()
    assert first.public_key not in [key.public_key().public_bytes_raw() for key in keys.in_force()]
    assert f"{first.expires_at}.key" not in {path.name for path in tmp_path.iterdir()}


def test_a_damaged_key_is_said_with_its_mend(tmp_path: Path) -> None:
    (tmp_path / "12345.key").write_bytes(b"short")
    with pytest.raises(SettingsError, match="Delete it"):
        SealingKeys(tmp_path, "a", IDENTITY)
