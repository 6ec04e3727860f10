"""Passages are searched once, also after a restart; a file of another redactor, or a damaged one, is made anew."""

from pathlib import Path

import pytest

from frag.privacy.redaction_cache import RedactionCache

FOUND = [(0, 3, "PERSON")]


class Counting:
    """Finds the first three characters in everything."""

    def __init__(self) -> None:
        self.searched: list[str] = []

    def find(self, text: str) -> list[tuple[int, int, str]]:
        self.searched.append(text)
        return FOUND if text else []


def opened(folder: Path, redactor: Counting, fingerprint: str = "a") -> RedactionCache:
    return RedactionCache.open(folder / "redactions.db", redactor, fingerprint)


def test_a_passage_is_searched_once_and_after_a_restart_not_at_all(tmp_path: Path) -> None:
    redactor = Counting()
    cache = opened(tmp_path, redactor)
    assert [cache.find("Ann is here."), cache.find("Ann is here."), cache.find("")] == [FOUND, FOUND, []]
    cache.close()
    again = opened(tmp_path, redactor)
    assert again.find("Ann is here.") == FOUND
    assert redactor.searched == ["Ann is here.", ""]
    assert again.missing(["Ann is here.", "Bob", ""]) == ["Bob"]
    again.close()


def test_another_redactor_searches_anew(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    cache = opened(tmp_path, first)
    cache.find("Ann")
    cache.close()
    changed = opened(tmp_path, second, "b")
    changed.find("Ann")
    assert (len(changed), second.searched) == (1, ["Ann"])
    changed.close()


@pytest.mark.parametrize("content", [b"no database", b""])
def test_a_damaged_file_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "redactions.db").write_bytes(content)
    cache = opened(tmp_path, Counting())
    assert cache.find("Ann") == FOUND
    cache.close()


def test_what_is_gone_is_forgotten_and_no_text_is_kept(tmp_path: Path) -> None:
    cache = opened(tmp_path, Counting())
    for text in ("Ann", "Zirconquail", "Bob"):
        cache.find(text)
    assert cache.keep_only(["Ann", "Bob", "new"]) == 1
    assert cache.missing(["Ann", "Zirconquail", "Bob"]) == ["Zirconquail"]
    cache.close()
    assert not any(b"Zirconquail" in file.read_bytes() for file in tmp_path.iterdir())
