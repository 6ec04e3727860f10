"""Real processes with the real models. `make test` fetches the models first."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from frag.policy_settings import CollectionSettings
from frag.settings import ModelSettings
from server.local_federation import LocalFederation
from server.node.assembly import load_embedder, open_stores

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
