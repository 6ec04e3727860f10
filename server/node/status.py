"""What the node's operator sees: who it is, whether it is connected, what is indexed, what may leave."""

from rich.console import Console
from rich.table import Table

from retrievers.store import count_documents
from server.node.state import NodeFolder, read_status
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
            c.name: {"folder": str(c.folder), "documents": count_documents(folder.index / c.name)}
            for c in settings.collections
        },
        "policy": settings.policy.model_dump(mode="json"),
    }


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
    Console().print(table)


def _shown(content: object) -> str:
    if isinstance(content, list):
        return ", ".join(map(str, content))
    if isinstance(content, dict):
        return ", ".join(f"{key} {value}" for key, value in content.items())
    return str(content)
