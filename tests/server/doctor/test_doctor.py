"""Broken set-ups, each found and its mend named; and one that is well."""

import asyncio
import json
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from typer.testing import CliRunner

from frag.settings import NodeSettings
from retrievers.store import DocumentStore
from server.cli import app
from server.coordinator.database import open_database
from server.coordinator.folder import CoordinatorFolder
from server.doctor import files, machine, network
from server.doctor.coordinator import coordinator_checks
from server.doctor.finding import Finding, UnwellError, examine
from server.doctor.node import node_checks, policy
from server.doctor.run import show
from server.local_federation import free_port
from server.node.journal import Entry, Journal
from server.node.state import NodeFolder
from server.wire import identity
from tests.doubles import HashingEmbedder
from tests.server.coordinator.test_tls import write_certificate
from tests.server.in_process import in_process

NODE: dict[str, Any] = {
    "node_id": "north",
    "coordinator_url": "http://127.0.0.1:9",
    "models": {"language_model": "none"},
    "collections": [{"name": "documents", "folder": "documents"}],
}


def coordinator_in(folder: Path, **settings: Any) -> CoordinatorFolder:
    place = CoordinatorFolder(folder / "coordinator")
    place.create("127.0.0.1", free_port())
    if settings:
        place.settings_file.write_text(tomli_w.dumps({"port": free_port(), **settings}))

    async def migrate() -> None:
        async with open_database(place.database_url(place.settings())):
            pass

    asyncio.run(migrate())
    return place


def node_in(folder: Path, **settings: Any) -> NodeFolder:
    place = NodeFolder(folder / "node")
    (place.folder / "documents").mkdir(parents=True)
    (place.folder / "documents" / "a.txt").write_text("Opening hours are nine to five.")
    place.settings_file.write_text(tomli_w.dumps({**NODE, **settings}))
    identity.make_key(place.identity_key)
    place.coordinator_key.write_bytes(bytes(32))
    with DocumentStore.open(place.index / "documents", HashingEmbedder()) as store:
        store.ingest([place.folder / "documents"])
    return place


def found(place: CoordinatorFolder | NodeFolder) -> dict[str, Finding]:
    if isinstance(place, CoordinatorFolder):
        checks = coordinator_checks(place, verify=False)
    else:
        checks = node_checks(place, verify=False)
    return {check.name: examine(check) for check in checks}


@contextmanager
def held(port: int) -> Iterator[None]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        yield


def _misspell(place: CoordinatorFolder) -> None:
    place.settings_file.write_text("prot = 8470\n")


def _open_key(place: CoordinatorFolder) -> None:
    place.identity_key.chmod(0o644)


def _lose_secret(place: CoordinatorFolder) -> None:
    (place.folder / "log.key").unlink()


def _lose_database(place: CoordinatorFolder) -> None:
    (place.folder / "coordinator.db").unlink()


def _damage_database(place: CoordinatorFolder) -> None:
    (place.folder / "coordinator.db").write_bytes(b"not a database" * 1000)


def _revision(place: CoordinatorFolder, revision: str) -> None:
    with closing(sqlite3.connect(place.folder / "coordinator.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])


BROKEN_COORDINATORS: list[tuple[str, Callable[[CoordinatorFolder], None], str]] = [
    ("settings", _misspell, "Mend these values"),
    ("key files", _open_key, "chmod 600"),
    ("identity", _lose_secret, "Restore it"),
    ("database", _lose_database, "frag coordinator init"),
    ("database", _damage_database, "restore a backup"),
    ("database", lambda place: _revision(place, "0001"), "start the coordinator"),
    ("database", lambda place: _revision(place, "9999"), "newer"),
]


@pytest.mark.parametrize(("name", "harm", "mend"), BROKEN_COORDINATORS)
def test_a_broken_coordinator_is_found(
    tmp_path: Path, name: str, harm: Callable[[CoordinatorFolder], None], mend: str
) -> None:
    place = coordinator_in(tmp_path)
    assert found(place)[name].ok
    harm(place)
    finding = found(place)[name]
    assert not finding.ok
    assert mend in finding.mend


def test_a_port_that_another_program_holds_is_found(tmp_path: Path) -> None:
    place = coordinator_in(tmp_path)
    with held(place.settings().port):
        finding = found(place)["port"]
    assert not finding.ok
    assert "change host and port" in finding.mend


async def test_a_port_that_frag_holds_is_well(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        port = federation.server.port
        settings = CoordinatorFolder(tmp_path / "coordinator").settings().model_copy(update={"port": port})
        from server.doctor.coordinator import port as look

        assert "frag runs" in await asyncio.to_thread(look, settings)


def test_a_certificate_without_its_key_is_found(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "server")
    other = write_certificate(tmp_path, "other")
    tls = {"certificate": str(certificate), "private_key": str(other.with_suffix(".key"))}
    assert "belong together" in found(coordinator_in(tmp_path, tls=tls))["certificate"].mend


@pytest.mark.parametrize(("days", "says"), [(-1, "expired"), (5, "expires")])
def test_a_certificate_that_ends_is_found(days: int, says: str) -> None:
    with pytest.raises(UnwellError, match=says) as error:
        files.validity("frag.example", datetime.now(UTC) + timedelta(days=days))
    assert "Renew" in error.value.mend
    assert files.validity("frag.example", datetime.now(UTC) + timedelta(days=90)).startswith("valid")


def _not_indexed(place: NodeFolder) -> None:
    (place.index / "documents" / "index.db").unlink()


def _damaged_index(place: NodeFolder) -> None:
    (place.index / "documents" / "index.db").write_bytes(b"not an index" * 1000)


def _no_folder(place: NodeFolder) -> None:
    (place.folder / "documents").rename(place.folder / "moved")


def _damaged_ledger(place: NodeFolder) -> None:
    place.ledger.write_bytes(b"not a ledger" * 1000)


BROKEN_NODES: list[tuple[str, Callable[[NodeFolder], None], str]] = [
    ("index documents", _not_indexed, "frag node ingest"),
    ("index documents", _damaged_index, "frag node ingest"),
    ("index documents", _no_folder, "node.toml"),
    ("ledger", _damaged_ledger, ""),
]


@pytest.mark.parametrize(("name", "harm", "mend"), BROKEN_NODES)
def test_a_broken_node_is_found(tmp_path: Path, name: str, harm: Callable[[NodeFolder], None], mend: str) -> None:
    place = node_in(tmp_path)
    assert found(place)[name].ok
    harm(place)
    finding = found(place)[name]
    assert not finding.ok
    assert finding.mend
    assert mend in finding.mend


def test_documents_that_are_not_ingested_are_found_and_the_command_mends_it(tmp_path: Path) -> None:
    place = node_in(tmp_path)
    texts = place.folder / "documents"
    assert found(place)["folder documents"].what == "all 1 agree with the index"
    (texts / "a.txt").write_text("Opening hours are ten to four.")
    for number in range(4):
        (texts / f"new{number}.txt").write_text(f"The pharmacy is in building {number}.")
    finding = found(place)["folder documents"]
    assert (finding.ok, finding.what) == (
        False,
        "Documents: 4 not indexed (new0.txt, new1.txt, new2.txt and 1 more); 1 changed since (a.txt).",
    )
    assert finding.mend == f"Run `frag node ingest --folder {place.folder} --collection documents`."
    with DocumentStore.open(place.index / "documents", HashingEmbedder()) as store:
        store.ingest([texts], remove_missing=True)
    (texts / "slides.pptx").touch()
    seen = found(place)["folder documents"]
    assert (seen.ok, seen.what) == (True, "all 5 agree with the index; 1 skipped (slides.pptx: unsupported)")
    (texts / "a.txt").unlink()
    assert "1 indexed, and gone from the folder (a.txt)" in found(place)["folder documents"].what


def test_a_metrics_port_that_another_program_holds_is_found(tmp_path: Path) -> None:
    port = free_port()
    place = node_in(tmp_path, telemetry={"metrics_port": port})
    assert found(place)["metrics port"].ok
    with held(port):
        assert "telemetry.metrics_port" in found(place)["metrics port"].mend


def test_a_port_of_the_local_page_that_another_program_holds_is_found(tmp_path: Path) -> None:
    port = free_port()
    place = node_in(tmp_path, local={"port": port})
    with held(port):
        assert "local.port" in found(place)["local port"].mend


def test_a_journal_that_was_tampered_with_is_found(tmp_path: Path) -> None:
    place = node_in(tmp_path)
    with closing(Journal.open(place.journal)) as journal:
        journal.append([Entry(kind="stopped"), Entry(kind="resumed"), Entry(kind="stopped")])
    assert found(place)["journal"].ok
    with closing(sqlite3.connect(place.journal)) as connection, connection:
        connection.execute("DELETE FROM entries WHERE entry_id = 2")
    assert "broken at entry 3" in found(place)["journal"].what


def test_a_coordinator_that_is_away_is_found(tmp_path: Path) -> None:
    findings = found(node_in(tmp_path))
    for name in ("coordinator", "clock", "enrolled"):
        assert "coordinator_url" in findings[name].mend


def test_a_node_that_was_never_enrolled_is_found(tmp_path: Path) -> None:
    place = node_in(tmp_path)
    place.coordinator_key.unlink()
    assert "frag node enroll" in found(place)["enrolled"].mend


def test_a_policy_that_answers_nothing_is_found() -> None:
    silent = {"policy": {"answer_modes": []}, "collections": [{"name": "a", "folder": "."}]}
    with pytest.raises(UnwellError) as error:
        policy(NodeSettings.model_validate({**NODE, **silent}))
    assert "in common" in error.value.mend


def test_a_missing_model_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAG_HOME", str(tmp_path / "empty"))
    finding = found(node_in(tmp_path))["model all-minilm-l6-v2"]
    assert not finding.ok
    assert "frag models pull" in finding.mend


def test_a_full_disk_and_an_old_library_are_found(tmp_path: Path) -> None:
    with pytest.raises(UnwellError) as full:
        machine.disk_space(tmp_path, 1 << 60)
    assert "Free some space" in full.value.mend
    with pytest.raises(UnwellError) as old:
        machine.library_versions({"aiohttp": (99, 0)})
    assert "pip install" in old.value.mend
    assert "aiohttp" in machine.library_versions({"aiohttp": (3, 0)})


async def test_an_enrolled_node_is_known_and_a_revoked_one_is_not(tmp_path: Path) -> None:
    async with in_process(tmp_path) as federation:
        folder = await federation.enroll("north")
        peer = folder.peer(folder.settings())
        assert await network.known_here(peer) == "north is enrolled"
        assert (await network.clock(peer)).startswith("within")
        await federation.state.enrollment.revoke("north")
        from frag.errors import FragError

        with pytest.raises(FragError) as refused:
            await network.known_here(peer)
        assert refused.value.mend


async def test_a_clock_that_is_wrong_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with in_process(tmp_path) as federation:
        folder = await federation.enroll("north")
        monkeypatch.setattr(network, "MAX_CLOCK_ERROR_S", -1.0)
        with pytest.raises(UnwellError) as wrong:
            await network.clock(folder.peer(folder.settings()))
    assert "NTP" in wrong.value.mend


def test_the_command_ends_with_1_and_says_so_as_json(tmp_path: Path) -> None:
    place = node_in(tmp_path)
    done = CliRunner().invoke(app, ["doctor", "--quick", "--json", "--folder", str(place.folder)])
    assert done.exit_code == 1
    findings = {entry["name"]: entry for entry in json.loads(done.stdout)[str(place.folder)]}
    assert findings["index documents"]["ok"]
    assert not findings["coordinator"]["ok"]
    shown = CliRunner().invoke(app, ["doctor", "--quick", "--folder", str(place.folder)])
    assert "✗" in shown.stdout
    assert "→ Check that it runs" in " ".join(shown.stdout.split())


def test_without_a_folder_all_installations_below_this_one_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node_in(tmp_path).folder.rename(tmp_path / "harbour")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["doctor", "--quick", "--json"])
    assert json.loads(done.stdout).keys() == {"machine", "harbour"}


def test_names_of_sections_are_shown_in_a_mend(capsys: pytest.CaptureFixture[str]) -> None:
    show({"here": [Finding(name="certificate", ok=False, what="no", mend="Give PEM files in [tls].")]})
    assert "[tls]" in capsys.readouterr().out


def test_a_well_coordinator_ends_with_0(tmp_path: Path) -> None:
    place = coordinator_in(tmp_path, models={"language_model": "none"})
    done = CliRunner().invoke(app, ["doctor", "--quick", "--folder", str(place.folder)])
    assert done.exit_code == 0, done.stdout
    assert "✗" not in done.stdout
