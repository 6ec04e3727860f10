"""Every sealed question once: over restarts, over clocks set back, and with bounded memory."""

from pathlib import Path

import pytest

from frag.errors import SealingError
from server.sealed.replays import ReplayCache

ASKER, ID = b"a" * 32, b"i" * 16


def refused(cache: ReplayCache, request_id: bytes, expires_at: int, now: int, asker: bytes = ASKER) -> str:
    with pytest.raises(SealingError) as error:
        cache.admit(asker, request_id, expires_at, now)
    return error.value.code


def test_a_question_is_admitted_once_also_after_a_restart(tmp_path: Path) -> None:
    cache = ReplayCache.open(tmp_path / "seen.db")
    cache.admit(ASKER, ID, 200, 100)
    assert refused(cache, ID, 200, 100) == "replayed"
    cache.close()
    again = ReplayCache.open(tmp_path / "seen.db")
    assert refused(again, ID, 200, 150) == "replayed"
    assert refused(again, ID, 200, 200) == "expired"
    again.admit(b"b" * 32, ID, 300, 200)
    again.close()


def test_a_clock_that_is_set_back_revives_nothing(tmp_path: Path) -> None:
    cache = ReplayCache.open(tmp_path / "seen.db")
    cache.admit(ASKER, ID, 200, 100)
    cache.admit(ASKER, b"j" * 16, 900, 500)  # forgets what expired before 500
    assert refused(cache, ID, 200, 100) == "expired"
    cache.close()


def test_a_full_cache_refuses_and_does_not_forget(tmp_path: Path) -> None:
    cache = ReplayCache.open(tmp_path / "seen.db", max_entries=3)
    for number in range(3):
        cache.admit(ASKER, bytes([number]) * 16, 200, 100)
    assert refused(cache, b"x" * 16, 300, 150) == "busy"
    assert refused(cache, bytes([1]) * 16, 200, 150) in {"replayed", "busy"}
    cache.admit(ASKER, b"x" * 16, 300, 250)
    cache.close()
