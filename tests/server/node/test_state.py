"""The node's folder: one process at a time, and a status that dies with its process."""

import os
from pathlib import Path

import pytest

from frag.errors import ConflictError
from server.node.state import NodeFolder, Status, read_status, write_status


def test_a_second_process_of_one_node_is_refused(tmp_path: Path) -> None:
    folder = NodeFolder(tmp_path)
    with folder.exclusive(), pytest.raises(ConflictError, match="runs already"), folder.exclusive():
        pass
    with folder.exclusive():
        pass


def test_the_status_counts_only_while_its_process_lives(tmp_path: Path) -> None:
    folder = NodeFolder(tmp_path)
    assert read_status(folder) is None
    write_status(folder, Status(pid=os.getpid(), connected=True, since="now"))
    assert read_status(folder) == {"pid": os.getpid(), "connected": True, "since": "now"}
    write_status(folder, Status(pid=2**22 + 1, connected=True, since="now"))
    assert read_status(folder) is None
    folder.status_file.write_text("{torn")
    assert read_status(folder) is None


def test_the_alias_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    folder = NodeFolder(tmp_path)
    key = folder.alias_key()
    assert folder.alias_key() == key
    assert len(key) == 32
    assert (tmp_path / "alias.key").stat().st_mode & 0o077 == 0
