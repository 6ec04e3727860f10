"""The node's folder, indices, policy and its coordinator."""

import asyncio
import socket
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from frag.errors import FragError, IndexStoreError
from frag.policy_settings import CollectionSettings
from frag.privacy.ledger import Ledger
from frag.roster import pinned_nodes
from frag.settings import NodeSettings
from frag.types import AnswerMode
from retrievers.database import DATABASE_NAME, connect, index_errors
from retrievers.generations import folder_of
from server.doctor import network
from server.doctor.documents import up_to_date
from server.doctor.files import key_permissions, model_checks
from server.doctor.finding import Check, UnwellError
from server.node.journal import Journal
from server.node.policy import NodePolicy
from server.node.private_answering import decoding_rule
from server.node.process import Peer
from server.node.state import NodeFolder, read_status


def node_checks(folder: NodeFolder, *, verify: bool) -> list[Check]:
    """Everything that can be looked at; without settings only the files."""
    keys = [folder.identity_key, folder.folder / "alias.key", *sorted(folder.sealing.glob("*.key"))]
    checks = [Check("settings", lambda: _settings(folder)), Check("key files", lambda: key_permissions(keys))]
    try:
        settings = folder.settings()
    except FragError:
        return checks
    checks += [
        Check("policy", lambda: policy(settings)),
        Check("ledger", lambda: ledger(folder)),
        Check("journal", lambda: journal(folder, settings)),
    ]
    ports = {"telemetry.metrics_port": settings.telemetry.metrics_port, "local.port": settings.local.port}
    checks += [
        Check(field.split(".")[0].replace("telemetry", "metrics") + " port", partial(port, folder, number, field))
        for field, number in ports.items()
        if number
    ]
    for collection in settings.collections:
        checks.append(Check(f"index {collection.name}", partial(index, folder, collection)))
        if (database := _database(folder, collection)).is_file():
            look = partial(up_to_date, database, collection, _ingest(folder, collection))
            checks.append(Check(f"folder {collection.name}", look))
    if (roster := settings.roster) is not None:
        checks.append(Check("roster", lambda: f"{len(pinned_nodes(roster.file, roster.operators))} nodes"))
    return checks + model_checks(settings.models, verify=verify) + _network_checks(folder, settings)


def _network_checks(folder: NodeFolder, settings: NodeSettings) -> list[Check]:
    def ask(question: Callable[[Peer], Awaitable[str]]) -> str:
        async def asked() -> str:
            return await question(folder.peer(settings))

        return asyncio.run(asked())

    checks = [
        Check("coordinator", lambda: ask(network.coordinator_answers)),
        Check("clock", lambda: ask(network.clock)),
        Check("enrolled", lambda: ask(network.known_here)),
    ]
    if settings.coordinator_url.startswith("https"):
        checks.append(Check("certificate", lambda: ask(network.served_certificate)))
    return checks


def _settings(folder: NodeFolder) -> str:
    folder.settings()
    return str(folder.settings_file)


def policy(settings: NodeSettings) -> str:
    """Raises UnwellError when the node would answer nothing, or a private answer could say nothing."""
    modes = NodePolicy(settings.policy, settings.collections).modes()
    if not settings.collections:
        raise UnwellError("The node has no collection.", "Add [[collections]] with name and folder to node.toml.")
    if not modes:
        raise UnwellError(
            "No collection answers in any mode that the policy allows.",
            "Let answer_modes of [policy] and of the collections have a mode in common.",
        )
    if AnswerMode.DP in modes:
        decoding_rule(settings.policy.dp)
    return f"answers in {', '.join(modes)}"


def port(folder: NodeFolder, number: int, field: str) -> str:
    """Raises UnwellError when another program holds a port of the node."""
    if read_status(folder) is not None:
        return f"{number}: the node runs"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            raise UnwellError(
                f"127.0.0.1:{number} cannot be bound: {error.strerror}.",
                f"Stop the program that holds it, or change {field} in node.toml.",
            ) from error
    return f"{number}: free"


def journal(folder: NodeFolder, settings: NodeSettings) -> str:
    """Raises UnwellError when an entry of the release journal was changed or removed."""
    if not folder.journal.exists():
        return "nothing has left yet"
    with closing(Journal.open(folder.journal, settings.local.journal_days)) as opened:
        broken_at = opened.verify().broken_at
    if broken_at is not None:
        raise UnwellError(
            f"The chain of the release journal is broken at entry {broken_at}.",
            f"Somebody changed {folder.journal}: compare it with a backup; the node goes on behind what is there.",
        )
    return "its chain holds"


def ledger(folder: NodeFolder) -> str:
    """Raises LedgerError when it cannot be used."""
    if not folder.ledger.exists():
        return "nothing spent yet"
    with closing(Ledger.open(folder.ledger)) as opened:
        return f"{len(opened.summary())} collections have spent"


def index(folder: NodeFolder, collection: CollectionSettings) -> str:
    """Raises UnwellError or IndexStoreError when a collection cannot be searched, or has nothing to be found."""
    if not collection.folder.is_dir():
        raise UnwellError(
            f"The folder {collection.folder} does not exist.",
            "Make it, or mend `folder` in node.toml.",
        )
    path, again = _database(folder, collection), _ingest(folder, collection)
    if not path.is_file():
        raise UnwellError("Nothing has been indexed.", f"Run `{again}`.")
    with index_errors(path), closing(connect(path, read_only=True)) as connection:
        _require_whole(connection, str(path))
        number: int = connection.execute("SELECT count(*) FROM documents").fetchone()[0]
    if number == 0:
        raise UnwellError("The index holds no document.", f"Put documents into {collection.folder}, then `{again}`.")
    return f"{number} documents"


def _database(folder: NodeFolder, collection: CollectionSettings) -> Path:
    return folder_of(folder.index, collection.name) / DATABASE_NAME


def _ingest(folder: NodeFolder, collection: CollectionSettings) -> str:
    return f"frag node ingest --folder {folder.folder} --collection {collection.name}"


def _require_whole(connection: sqlite3.Connection, path: str) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise IndexStoreError(f"The index {path} is damaged.", "Move it away and run `frag node ingest`.")
