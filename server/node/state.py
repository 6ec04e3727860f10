"""The node's folder: `node.toml`, its identity, the coordinator it trusts, its indices, and what it is doing now."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import msgspec

from frag.durable import write_atomic, write_private
from frag.errors import ConflictError, SettingsError
from frag.settings import NodeSettings, load_settings
from frag.tls import tls_context
from server.wire import identity

if TYPE_CHECKING:
    from server.node.process import Peer


class NodeFolder:
    """Names every file of one node. Nothing is read before it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def settings_file(self) -> Path:
        return self.folder / "node.toml"

    @property
    def index(self) -> Path:
        return self.folder / "index"

    @property
    def datasets(self) -> Path:
        return self.folder / "datasets"

    @property
    def training(self) -> Path:
        return self.folder / "training"

    @property
    def prompts(self) -> Path:
        return self.folder / "prompts"

    @property
    def personal(self) -> Path:
        """The node's own form of the live prompt."""
        return self.folder / "personal"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def sealing(self) -> Path:
        """Keys and replay cache of sealed questions."""
        return self.folder / "sealing"

    @property
    def journal(self) -> Path:
        """What left this node."""
        return self.folder / "journal.db"

    @property
    def feedback(self) -> Path:
        """Questions that were answered lately, and what was said of the answers."""
        return self.folder / "feedback.db"

    @property
    def release_switch(self) -> Path:
        """There while the operator has stopped release."""
        return self.folder / "release-stopped.json"

    @property
    def local_token(self) -> Path:
        """The secret of the node's own page and API."""
        return self.folder / "local.token"

    @property
    def local_address(self) -> Path:
        """Where the running node's own API is."""
        return self.folder / "local.json"

    @property
    def identity_key(self) -> Path:
        return self.folder / "identity.key"

    @property
    def coordinator_key(self) -> Path:
        return self.folder / "coordinator.pub"

    @property
    def status_file(self) -> Path:
        return self.folder / "status.json"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Two processes of one node would push each other off the coordinator for ever.

        Raises:
            ConflictError: A process of this node runs already. The system lets go of the lock however it ends.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "run.lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConflictError(
                    f"The node in {self.folder} runs already.", "Stop the other process first (`frag node status`)."
                ) from error
            yield

    def settings(self) -> NodeSettings:
        """Raises SettingsError when `node.toml` is missing or wrong."""
        return load_settings(NodeSettings, self.settings_file)

    def alias_key(self) -> bytes:
        """The key of document pseudonyms, made at first use."""
        path = self.folder / "alias.key"
        if not path.exists():
            write_private(path, os.urandom(32))
        return path.read_bytes()

    def peer(self, settings: NodeSettings) -> "Peer":
        """Raises SettingsError when this node has not been enrolled."""
        from server.node.process import Peer  # brings aiohttp, which commands that stay offline need not wait for

        mend = "Enroll this node: `frag node enroll TOKEN`."
        if not self.coordinator_key.is_file():
            raise SettingsError(f"The node in {self.folder} is not enrolled.", mend)
        return Peer(
            node_id=settings.node_id,
            key=identity.load_key(self.identity_key, mend),
            coordinator_key=self.coordinator_key.read_bytes(),
            url=settings.coordinator_url,
            tls=tls_context(settings.coordinator_url, settings.tls_ca),
        )


class Status(TypedDict):
    """What `frag node status` shows of the running process."""

    pid: int
    connected: bool
    since: str


def write_status(folder: NodeFolder, status: Status) -> None:
    """Replaces the status file."""
    write_atomic(folder.status_file, msgspec.json.encode(status))


def read_status(folder: NodeFolder) -> Status | None:
    """The status of the process, if there is one and it lives."""
    try:
        status = msgspec.json.decode(folder.status_file.read_bytes(), type=Status)
        os.kill(status["pid"], 0)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return status
