"""A version is fetched, checked and kept; what does not fit leaves the last good one live."""

import hashlib
from pathlib import Path

import pytest

from frag.errors import ModelError, ProtocolError
from frag.types import Adaptation, Place, Template
from prompt_tuning.adaptation_file import save_adaptation
from server.node.live_prompt import LivePrompt
from server.wire.messages import Promote


class Worker:
    def __init__(self) -> None:
        self.live: Adaptation | None = None

    async def go_live(self, adaptation: Adaptation | None) -> None:
        if adaptation is not None and adaptation.base_model != "ours":
            raise ModelError("The prompt was trained for another base model.")
        self.live = adaptation


class Shelf:
    """Stands in for the coordinator: contents by ticket."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    async def fetch(self, ticket: str, sha256: str, target: Path) -> None:
        content = self.contents.get(ticket, b"")
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ProtocolError("The weights are not those that were announced.")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def version(base_model: str = "ours", embedder: str = "", instruction: str = "Be brief.") -> bytes:
    return save_adaptation(
        Adaptation(
            method="template",
            settings={},
            place=Place.AFTER,
            tensors={},
            template=Template(instruction=instruction),
            base_model=base_model,
            layout="layout",
            embedder=embedder,
        )
    )


class Node:
    def __init__(self, folder: Path) -> None:
        self.worker, self.shelf = Worker(), Shelf()
        self.prompt = LivePrompt(folder, self.worker, self.shelf, "minilm")  # type: ignore[arg-type]

    async def promote(self, name: str, content: bytes) -> None:
        self.shelf.contents[name] = content
        digest = hashlib.sha256(content).hexdigest() if content else ""
        await self.prompt.promote(Promote(request_id=1, version=name, sha256=digest, ticket=name))


async def test_the_last_good_version_comes_back_after_a_restart(tmp_path: Path) -> None:
    node = Node(tmp_path)
    await node.promote("v1", version())
    with pytest.raises(ModelError):
        await node.promote("v2", version("another"))
    with pytest.raises(ModelError, match="embedder"):
        await node.promote("v3", version(embedder="other"))
    assert node.prompt.version == "v1"

    restarted = Node(tmp_path)
    await restarted.prompt.restore()
    assert restarted.prompt.version == "v1"
    assert restarted.worker.live is not None
    assert restarted.worker.live.template.instruction == "Be brief."

    await restarted.promote("", b"")
    again = Node(tmp_path)
    await again.prompt.restore()
    assert (again.prompt.version, again.worker.live) == ("", None)


async def test_a_damaged_version_is_not_restored(tmp_path: Path) -> None:
    node = Node(tmp_path)
    await node.promote("v1", version())
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    restarted = Node(tmp_path)
    await restarted.prompt.restore()
    assert restarted.prompt.version == ""


async def test_nothing_is_restored_where_nothing_was(tmp_path: Path) -> None:
    node = Node(tmp_path / "absent")
    await node.prompt.restore()
    assert node.worker.live is None


async def test_a_change_of_embedder_withdraws_a_prompt_of_the_old_one_and_brings_it_back_with_it(
    tmp_path: Path,
) -> None:
    node = Node(tmp_path)
    await node.promote("v1", version(embedder="minilm"))
    await node.prompt.use_embedder("other")
    assert (node.prompt.version, node.worker.live) == ("", None)
    with pytest.raises(ModelError, match="embedder"):
        await node.promote("v1", version(embedder="minilm"))
    restarted = Node(tmp_path)
    restarted.prompt._embedder = "other"
    await restarted.prompt.restore()
    assert restarted.worker.live is None

    await node.prompt.use_embedder("minilm")
    assert node.prompt.version == "v1"


async def test_a_change_of_embedder_leaves_a_prompt_that_reads_no_vectors(tmp_path: Path) -> None:
    node = Node(tmp_path)
    await node.promote("v1", version())
    await node.prompt.use_embedder("other")
    assert node.prompt.version == "v1"
