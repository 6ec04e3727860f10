"""Which text a job has trained on here, remembered without the text: salted hashes of runs of words.

A job's examples are deleted in time, and what it made of them lives on. When a document has to go, its operator is told
which jobs, and so which prompt versions, have seen it.

Source: Schleimer, Wilkerson and Aiken 2003, "Winnowing": of each window of hashes the least is kept, so that two texts
with a run of WINDOW + RUN - 1 words in common have a kept hash in common.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from frag.durable import write_private

RUN = 8
"""Words of a run."""
WINDOW = 9
"""Runs of a window: 16 words in common, which is what counts as a copy by default, are always seen."""
FILE_NAME = "lineage"
_SALT_BYTES = 16
_HASH_BYTES = 8
_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """The words of a text, case folded."""
    return _WORD.findall(text.casefold())


def remember(folder: Path, texts: Iterable[str]) -> None:
    """Keeps the lineage of the job in `folder`. Durable when it returns."""
    salt = os.urandom(_SALT_BYTES)
    kept = {least for text in texts for least in _least(_hashes(words_of(text), salt))}
    write_private(folder / FILE_NAME, salt + b"".join(sorted(kept)))


def has_seen(folder: Path, texts: Iterable[str], staying: Iterable[str] = ()) -> bool | None:
    """Whether the job in `folder` has trained on a run of words of these texts; None when that was not remembered.

    A run that is in `staying`, too, does not count.

    Also True for a run that the text has in common with others, such as a formula.
    """
    try:
        content = (folder / FILE_NAME).read_bytes()
    except OSError:
        return None
    salt, body = content[:_SALT_BYTES], content[_SALT_BYTES:]
    kept = {body[start : start + _HASH_BYTES] for start in range(0, len(body), _HASH_BYTES)}
    kept.difference_update(found for text in staying for found in _hashes(words_of(text), salt))
    return any(found in kept for text in texts for found in _hashes(words_of(text), salt))


def _hashes(words: Sequence[str], salt: bytes) -> Iterator[bytes]:
    """Of every run of words; of all words where they are fewer."""
    for start in range(max(1, len(words) - RUN + 1) if words else 0):
        run = " ".join(words[start : start + RUN]).encode()
        yield hashlib.blake2b(run, digest_size=_HASH_BYTES, key=salt).digest()


def _least(hashes: Iterable[bytes]) -> Iterator[bytes]:
    """Of each window the least; each text is short enough to look at every window."""
    found = list(hashes)
    for start in range(max(1, len(found) - WINDOW + 1) if found else 0):
        yield min(found[start : start + WINDOW])
