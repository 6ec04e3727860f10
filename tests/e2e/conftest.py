"""Real processes with the real models. `make test` fetches the models first."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from frag.policy_settings import CollectionSettings
from frag.settings import ModelSettings
from server.local_federation import LocalFederation
from server.node.assembly import load_embedder, open_stores
from tests.e2e.trainers import three_trainers
from tests.tiny_model import write_tiny_model

NODE_SETTINGS: Mapping[str, Any] = {
    "models": {"threads": 1},
    "collections": [{"name": "documents", "folder": "documents"}],
}


@asynccontextmanager
async def silos(
    folder: Path, documents: Mapping[str, Mapping[str, str]], relay_port: int = 0, port: int = 0
) -> AsyncIterator[LocalFederation]:
    """A federation of one node for each entry of `documents`, all connected; through `relay_port` if given."""
    embedder = load_embedder(ModelSettings(threads=1))
    async with LocalFederation(folder, settings={"models": {"threads": 1}}, port=port) as federation:
        for node_id, files in documents.items():
            await federation.add_node(node_id, NODE_SETTINGS)
            node = federation.node(node_id)
            texts = node.folder / "documents"
            texts.mkdir()
            for name, text in files.items():
                (texts / name).write_text(text)
            collection = CollectionSettings(name="documents", folder=texts)
            with open_stores(node.index, [collection], embedder)["documents"] as store:
                store.ingest([texts])
            if relay_port:
                content = node.settings_file.read_text().replace(str(federation.port), str(relay_port))
                node.settings_file.write_text(content)
            federation.start_node(node_id)
        await federation.wait_for_nodes(list(documents))
        yield federation


PLANTS = {
    name: {"a.md": f"The boiler of the {name} plant is inspected every {day} by the safety engineer."}
    for name, day in (("east", "Monday"), ("mid", "Wednesday"), ("far", "Friday"))
}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of a few thousand weights."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny"), hidden_size=32)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def trainers(
    real_models: ModelSettings, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LocalFederation]:
    """Three nodes that train. Whoever uses them leaves all connected, and no prompt live."""
    del real_models
    async with three_trainers(tmp_path_factory.mktemp("trainers"), tiny_model) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def plants(
    real_models: ModelSettings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LocalFederation]:
    """Three nodes with the real models, each with a document of its own. Whoever uses them leaves all connected."""
    del real_models
    async with silos(tmp_path_factory.mktemp("plants"), PLANTS) as running:
        yield running
