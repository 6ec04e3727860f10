import sqlite3
import stat
from contextlib import closing

import pytest

from frag.errors import IndexStoreError
from retrievers.database import DATABASE_NAME, MIGRATIONS, connect, migrate, prepare, transaction
from retrievers.store import DocumentStore, count_documents
from tests.doubles import HashingEmbedder


def test_settings_of_the_database(folder):
    with closing(connect(prepare(folder))) as connection:
        names = ("journal_mode", "synchronous", "secure_delete", "foreign_keys", "user_version")
        values = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    assert values == ["wal", 2, 1, 1, len(MIGRATIONS)]


def test_only_the_owner_can_read_it(folder):
    path = prepare(folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + bytes(4000)])
def test_a_garbage_file_is_named_with_the_mend(folder, content):
    folder.mkdir()
    (folder / DATABASE_NAME).write_bytes(content)
    with pytest.raises(IndexStoreError, match="frag node ingest") as caught:
        DocumentStore.open(folder, HashingEmbedder())
    assert str(folder) in caught.value.what


def test_a_later_version_is_refused(folder):
    with closing(connect(prepare(folder))) as connection:
        connection.execute("PRAGMA user_version=1000")
    with pytest.raises(IndexStoreError, match=r"format 1000.*Update frag"):
        prepare(folder)


def test_a_database_of_another_program_is_left_alone(folder):
    folder.mkdir()
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(IndexStoreError, match="another program"):
        prepare(folder)


def test_a_folder_that_is_a_file_is_an_error(folder):
    folder.write_text("")
    with pytest.raises(IndexStoreError, match="cannot be opened"):
        prepare(folder)


def test_migrations_run_once_each_in_order(folder):
    path = prepare(folder)
    later = (*MIGRATIONS, "CREATE TABLE new (x);\nINSERT INTO new VALUES (1);", "UPDATE new SET x = x + 1;")
    with closing(connect(path)) as connection:
        for _ in range(2):
            migrate(connection, path, later)
            assert connection.execute("SELECT x FROM new").fetchall() == [(2,)]


def test_a_failed_migration_changes_nothing(folder):
    path = prepare(folder)
    with closing(connect(path)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, path, (*MIGRATIONS, "CREATE TABLE new (x);\nINSERT INTO nothing VALUES (1);"))
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'new'").fetchone() == (0,)


def _spoil(connection):
    with transaction(connection):
        connection.execute("UPDATE collection SET revision = 9")
        raise KeyboardInterrupt


def test_a_transaction_that_fails_is_undone(folder):
    with closing(connect(prepare(folder))) as connection:
        with pytest.raises(KeyboardInterrupt):
            _spoil(connection)
        assert connection.execute("SELECT revision FROM collection").fetchone() == (0,)


def test_documents_are_counted_without_an_embedder(folder):
    assert count_documents(folder) == 0
    assert not folder.exists()
    prepare(folder)
    assert count_documents(folder) == 0
