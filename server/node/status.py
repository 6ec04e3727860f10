"""What the node's operator sees: who it is, whether it is connected, what is indexed, what may leave."""

from contextlib import closing
from typing import Any

import msgspec
from rich.table import Table

from frag.settings import NodeSettings
from retrievers.generations import folder_of
from retrievers.store import count_documents
from server.node.changeover import read_order
from server.node.journal import Journal
from server.node.leaving import Tally, Today
from server.node.policy_words import in_words
from server.node.spending import describe_spending
from server.node.state import NodeFolder, read_status
from server.node.switch import ReleaseSwitch
from server.tables import print_table
from server.wire import identity


def describe(folder: NodeFolder) -> dict[str, object]:
    """The node as JSON types. Raises SettingsError when it is not set up."""
    settings = folder.settings()
    running = read_status(folder)
    peer = folder.peer(settings)
    return {
        "node_id": settings.node_id,
        "fingerprint": identity.fingerprint(identity.public_bytes(peer.key)),
        "coordinator_url": settings.coordinator_url,
        "running": running is not None,
        "connected": running is not None and running["connected"],
        "since": running["since"] if running else "",
        "collections": {
            c.name: {"folder": str(c.folder), "documents": _count(folder, c.name)} for c in settings.collections
        },
        "reembedding": _reembedding(folder),
        "policy": settings.policy.model_dump(mode="json"),
        "release": _release(folder),
        "today": _today(folder, settings),
        "local": _local_url(folder) if running is not None else "",
    }


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """What only the running process knows. `watched` by collection, as `watching.WatchState`; `chunks` likewise."""

    connected: bool
    watched: dict[str, Any]
    chunks: dict[str, int]
    prompt_version: str


def describe_live(folder: NodeFolder, settings: NodeSettings, today: Today, live: Live) -> dict[str, object]:
    """The running node as JSON types. Blocking."""
    return {
        "node_id": settings.node_id,
        "coordinator_url": settings.coordinator_url,
        "connected": live.connected,
        "prompt_version": live.prompt_version,
        "release": _release(folder),
        "today": today,
        "collections": {
            c.name: {
                "folder": str(c.folder),
                "documents": _count(folder, c.name),
                "passages": live.chunks.get(c.name, 0),
                "watch": live.watched.get(c.name),
            }
            for c in settings.collections
        },
        "reembedding": _reembedding(folder),
        "policy": in_words(settings),
        "privacy": describe_spending(folder),
    }


def _count(folder: NodeFolder, collection: str) -> int:
    return count_documents(folder_of(folder.index, collection))


def _reembedding(folder: NodeFolder) -> dict[str, object]:
    """The change of embedder under way, in passages done and in all; empty when there is none."""
    order = read_order(folder.index)
    if order is None:
        return {}
    error = {"error": order.error} if order.error else {}
    counted = {name: f"{done} of {total} passages" for name, (done, total) in order.collections.items()}
    return {"model": order.model, **counted, **error}


def _release(folder: NodeFolder) -> dict[str, object]:
    stopped = ReleaseSwitch(folder.release_switch).stopped()
    if stopped is None:
        return {"stopped": False}
    return {"stopped": True, "since": stopped.since, "reason": stopped.reason}


def _today(folder: NodeFolder, settings: NodeSettings) -> dict[str, object]:
    """Numbers alone; the entries are on the page and in `frag node journal`."""
    if not folder.journal.exists():
        return {}
    with closing(Journal.open(folder.journal)) as journal:
        summed = msgspec.to_builtins(Tally(journal, settings.policy.dp.delta).today())
    del summed["newest"]
    return dict(summed)


def _local_url(folder: NodeFolder) -> str:
    from server.node.local.client import address_of

    address = address_of(folder)
    return address.url if address else ""


def print_status(described: dict[str, object]) -> None:
    """A table for people."""
    table = Table(box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in described.items():
        if isinstance(value, dict):
            for inner, content in value.items():
                table.add_row(f"{name}.{inner}", _shown(content))
        else:
            table.add_row(name, str(value))
    print_table(table)


def _shown(content: object) -> str:
    if isinstance(content, list):
        return ", ".join(map(str, content))
    if isinstance(content, dict):
        return ", ".join(f"{key} {value}" for key, value in content.items())
    return str(content)
