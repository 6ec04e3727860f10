"""`frag node reembed`: by the running node, or in this process where none runs."""

import threading
import time
from collections.abc import Callable
from functools import partial

from frag.errors import ConflictError, NotReadyError
from frag.protocols import Embedder
from frag.settings import NodeSettings
from frag.types import AnswerMode
from retrievers.generations import folder_of, read_live
from retrievers.store import DocumentStore
from server.node.changeover import Changeover, Order, end_order, read_order, wanted_model, write_order
from server.node.indices import Indices
from server.node.local.client import address_of, call
from server.node.opening import Load, serving
from server.node.state import NodeFolder

_LOOK_S = 0.3
Show = Callable[[Order], None]


def reembed_node(place: NodeFolder, model: str, show: Show) -> dict[str, str]:
    """Changes to `model`, or to what `node.toml` asks for when it is empty; returns when that is done.

    Raises:
        ModelError: The embedder is missing or corrupt.
        ConflictError: The node runs and has no local API, or another process does this already.
        NotReadyError: It cannot go on; the text says why.
        IndexStoreError: An index cannot be used.
    """
    settings = place.settings()
    configured = settings.models.embedder
    wanted = model or (configured if read_order(place.index) is None else wanted_model(place.index, configured))
    if address_of(place) is not None:
        call(place, "POST", "/reembed", {"model": wanted})
        _follow(place, show)
    else:
        with place.exclusive():
            _change(place, wanted, show)
    live = read_live(place.index)
    if live is None or live.model != wanted:
        raise NotReadyError("The node has changed to another embedder meanwhile.", "See `frag node status`.")
    return {"model": live.model, "fingerprint": live.fingerprint}


def embedder_of_index(place: NodeFolder, settings: NodeSettings, *, rebuild: bool) -> tuple[Embedder, str]:
    """What an ingest embeds with, and a word to the operator where `node.toml` asks for another by now.

    Raises:
        ConflictError: `rebuild` is wanted of an index that is to change over.
        ModelError: There is no embedder.
    """
    configured = settings.models.embedder
    embedder, live = serving(place.index, [c.name for c in settings.collections], configured, _loading(settings))
    if live.model == wanted_model(place.index, configured):
        return embedder, ""
    change = "Change over with `frag node reembed`; a running node does so by itself."
    if rebuild:
        raise ConflictError(f"The index is of the embedder {live.model}, which is not what is wanted now.", change)
    return embedder, f"The index is still of the embedder {live.model}. {change}"


def _loading(settings: NodeSettings) -> Load:
    from server.node.assembly import load_named

    under_dp = any(AnswerMode.DP in c.modes_under(settings.policy) for c in settings.collections)
    return partial(load_named, settings.models, one_by_one=under_dp)


def _follow(place: NodeFolder, show: Show) -> None:
    """Shows what the running node does until it is done, or says why it does not go on."""
    while (order := read_order(place.index)) is not None:
        show(order)
        if order.error:
            raise NotReadyError(
                f"The node does not go on: {order.error}", "Mend that; it tries again by itself (`frag node status`)."
            )
        if address_of(place) is None:
            raise NotReadyError("The node has ended.", "Its next start takes this up again.")
        time.sleep(_LOOK_S)


def _change(place: NodeFolder, model: str, show: Show) -> None:
    settings = place.settings()
    embedder = _loading(settings)(model)
    order = Order(model=model, asked_for=settings.models.embedder)
    write_order(place.index, order)
    live = read_live(place.index)
    stores = {c.name: DocumentStore.open(folder_of(place.index, c.name, live), embedder) for c in settings.collections}
    changed: list[Indices] = []

    def swap(indices: Indices) -> threading.Event:
        changed.append(indices)
        nobody = threading.Event()
        nobody.set()
        return nobody

    change = Changeover(place.index, order, embedder, threading.Event(), on_advance=show)
    try:
        change.run(stores, swap)
        end_order(place.index, order)
    finally:
        for store in [*stores.values(), *(store for indices in changed for store in indices.stores.values())]:
            store.close()
