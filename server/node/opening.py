"""Opens a node's indices with the embedder that made them, which need not be the one that the settings name by now."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog

from frag.errors import ModelError
from frag.models import BUILT_IN, Kind
from frag.protocols import Embedder
from retrievers.generations import Live, fingerprint_of, folder_of, read_live, sweep, write_live
from retrievers.scale import scale_of
from retrievers.store import DocumentStore
from server.node.indices import Indices

_log = structlog.get_logger()
Load = Callable[[str], Embedder]
"""Makes an embedder by its name in the settings. Raises ModelError."""


def open_indices(
    index_folder: Path, collections: Sequence[str], configured: str, load: Load, vectors_at: str | None = None
) -> Indices:
    """One store a collection, and the embedder that most of them can be searched with.

    `vectors_at` as in `DocumentStore.open`.

    Raises:
        ModelError: There is no embedder.
        IndexStoreError: An index cannot be opened.
    """
    embedder, live = serving(index_folder, collections, configured, load)
    for name in collections:
        (index_folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep(index_folder, name, keep=None)
    stores = {
        name: DocumentStore.open(folder_of(index_folder, name, live), embedder, vectors_at=vectors_at)
        for name in collections
    }
    return Indices(embedder=embedder, stores=stores, scale=scale_of(embedder, index_folder))


def serving(index_folder: Path, collections: Sequence[str], configured: str, load: Load) -> tuple[Embedder, Live]:
    """The embedder that questions are embedded with now, and what is noted of it. Raises as `open_indices`."""
    live = read_live(index_folder)
    if live is not None and (embedder := _as_noted(live, load)) is not None:
        if live.wanted(configured) == live.model and live.asked_for != configured:
            live = msgspec.structs.replace(live, asked_for=configured)
            write_live(index_folder, live)
        return embedder, live
    name, embedder = _matching(index_folder, collections, configured, load, live)
    folders = live.folders if live else {}
    live = Live(model=name, fingerprint=embedder.fingerprint, asked_for=name, folders=folders)
    write_live(index_folder, live)
    return embedder, live


def _as_noted(live: Live, load: Load) -> Embedder | None:
    try:
        embedder = load(live.model)
    except ModelError:
        embedder = None
    if embedder is None or embedder.fingerprint != live.fingerprint:
        _log.warning("embedder_gone", model=live.model)
        return None
    return embedder


def _matching(
    index_folder: Path, collections: Sequence[str], configured: str, load: Load, live: Live | None
) -> tuple[str, Embedder]:
    """The configured embedder, or a built-in one where that alone fits the indices."""
    embedder = load(configured)
    held = {fingerprint_of(folder_of(index_folder, name, live)) for name in collections} - {""}
    if held <= {embedder.fingerprint}:
        return configured, embedder
    for name in (model.name for model in BUILT_IN.values() if model.kind is Kind.EMBEDDER and model.name != configured):
        try:
            other = load(name)
        except ModelError:
            continue
        if held == {other.fingerprint}:
            return name, other
    return configured, embedder
