"""Changes the embedder of a node: makes each index anew beside the one that is searched, then changes over.

What was embedded lasts, whenever the process dies. The one moment that counts is the renaming of a file; those who
write to the indices wait for it, in whatever process, and searches do not.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

import msgspec

from frag.durable import write_private
from frag.errors import NotReadyError
from frag.protocols import Embedder
from frag.types import Scale
from retrievers.generations import CHANGE_LOCK, Live, folder_name, folder_of, read_live, sweep, write_live
from retrievers.locking import exclusive
from retrievers.scale import scale_of
from retrievers.store import DocumentStore
from retrievers.succession import Advance, Successor
from server.node.indices import Indices
from server.node.throttled import Throttled

_FILE = "reembedding.json"
_LAST_STEPS = 2
"""Taken while writers wait; what is more is done before."""
_LOCK_WAIT_S = 0.5
_LATER_S = 2.0
_DRAIN_S = 120.0

Stores = Mapping[str, DocumentStore]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Which embedder is wanted, and how far that is. Lasts until it is done.

    `asked_for` is what the settings named then; `collections` are (done, total) passages by name; `error` why it waits.
    """

    model: str
    asked_for: str
    collections: dict[str, tuple[int, int]] = {}
    error: str = ""


def read_order(index_folder: Path) -> Order | None:
    """What is under way or was ordered; None if nothing is, or it cannot be read."""
    try:
        return msgspec.json.decode((index_folder / _FILE).read_bytes(), type=Order)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def write_order(index_folder: Path, order: Order) -> None:
    """Makes it durable."""
    write_private(index_folder / _FILE, msgspec.json.encode(order))


def is_same(one: Order | None, other: Order) -> bool:
    """Whether both ask for the same."""
    return one is not None and (one.model, one.asked_for) == (other.model, other.asked_for)


def end_order(index_folder: Path, order: Order) -> None:
    """Forgets the order, unless another has come."""
    if is_same(read_order(index_folder), order):
        (index_folder / _FILE).unlink(missing_ok=True)


def wanted_model(index_folder: Path, configured: str) -> str:
    """The embedder that is wanted: what was ordered or chosen under these settings, else what they name."""
    order = read_order(index_folder)
    if order is not None and order.asked_for == configured:
        return order.model
    live = read_live(index_folder)
    return live.wanted(configured) if live else configured


def fits(store: DocumentStore, embedder: Embedder) -> bool:
    """Whether the index can be searched with vectors of this embedder."""
    return store.fingerprint() in ("", embedder.fingerprint)


class Changeover:
    """One change to one embedder. Blocking; `run` in a thread of its own.

    Args:
        index_folder: Of the node.
        order: Names the embedder.
        embedder: It.
        ending: Set when it shall be given up; the next one goes on from there.
        share: Of the time that embedding takes.
        on_advance: Called when more is done.
    """

    def __init__(
        self,
        index_folder: Path,
        order: Order,
        embedder: Embedder,
        ending: threading.Event,
        share: float = 1.0,
        on_advance: Callable[[Order], None] = lambda _order: None,
    ) -> None:
        self._on_advance = on_advance
        self._folder = index_folder
        self._order = order
        self._plain = embedder
        self._embedder = Throttled(embedder, share, ending)
        self._ending = ending
        self._coming: dict[str, DocumentStore] = {}

    def run(
        self,
        live: Stores,
        swap: Callable[[Indices], threading.Event],
        holding: Callable[[], AbstractContextManager[object]] = nullcontext,
        about_to: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes the indices to come, and changes over.

        Args:
            live: What is searched.
            swap: Called when the change is durable, while nobody writes; must not fail. What it returns is set when
                nobody uses what was searched before.
            holding: Makes the writers of this process wait for the moment of the change.
            about_to: Called when all is complete, before anything has changed; may fail.

        Raises:
            NotReadyError: It was given up, or another embedder was ordered meanwhile.
            IndexStoreError: An index cannot be read or written.
        """
        scale = scale_of(self._plain, self._folder)
        old = dict(live)
        try:
            for name in old:
                sweep(self._folder, name, keep=folder_name(self._embedder.fingerprint))
            drained = None
            while drained is None:
                self._prepare(old)
                with ExitStack() as stack:
                    if self._is_alone(stack, holding) and self._is_settled(old):
                        about_to()
                        drained = swap(self._indices(old, scale))
            self._embedder.release()
        finally:
            for store in self._coming.values():
                store.close()
        self._clear(old, drained)

    def _is_alone(self, stack: ExitStack, holding: Callable[[], AbstractContextManager[object]]) -> bool:
        """Whether nobody writes until the stack ends. An ingest may run for hours: it is not waited for long."""
        stack.enter_context(holding())
        try:
            stack.enter_context(exclusive(self._folder / CHANGE_LOCK, _LOCK_WAIT_S))
        except NotReadyError:
            stack.close()
            if self._ending.wait(_LATER_S):
                raise
            return False
        return True

    def _prepare(self, live: Stores) -> None:
        successors = self._successors(live)
        for name, successor in successors.items():
            self._note(name, successor.look())
        for name, successor in successors.items():
            while not self._step(name, successor):
                pass

    def _successors(self, live: Stores) -> dict[str, Successor]:
        """Of the collections that hold vectors of another embedder."""
        found = {}
        for name, store in live.items():
            if fits(store, self._plain):
                continue
            if name not in self._coming:
                folder = self._folder / name / folder_name(self._embedder.fingerprint)
                self._coming[name] = DocumentStore.open(folder, self._embedder, vectors_at=store.vectors_at)
            found[name] = Successor(store, self._coming[name])
        return found

    def _step(self, name: str, successor: Successor) -> bool:
        if self._ending.is_set():
            raise NotReadyError("The node is ending.", "The next start takes this up again.")
        if not is_same(read_order(self._folder), self._order):
            raise NotReadyError("Another embedder is wanted meanwhile.", "It comes next.")
        advance = successor.step()
        self._note(name, advance)
        return advance.is_level

    def _note(self, name: str, advance: Advance) -> None:
        counted = (advance.done, advance.total)
        if self._order.collections.get(name) != counted:
            self._order = msgspec.structs.replace(
                self._order, collections={**self._order.collections, name: counted}, error=""
            )
            write_order(self._folder, self._order)
            self._on_advance(self._order)

    def _is_settled(self, live: Stores) -> bool:
        """While nobody writes: whether the last differences are few, and are taken over."""
        for name, successor in self._successors(live).items():
            if not any(self._step(name, successor) for _ in range(_LAST_STEPS)):
                return False
        return True

    def _indices(self, old: Stores, scale: Scale | None) -> Indices:
        """What is searched from now on, written down."""
        live = read_live(self._folder)
        folders = {**(live.folders if live else {})}
        stores = {}
        for name in old:
            if not fits(old[name], self._plain):
                folders[name] = folder_name(self._embedder.fingerprint)
                stores[name] = self._coming.pop(name)
            else:
                stores[name] = DocumentStore.open(folder_of(self._folder, name, live), self._plain)
        write_live(
            self._folder,
            Live(
                model=self._order.model,
                fingerprint=self._plain.fingerprint,
                asked_for=self._order.asked_for,
                folders=folders,
            ),
        )
        return Indices(embedder=self._plain, stores=stores, scale=scale)

    def _clear(self, old: Stores, drained: threading.Event) -> None:
        drained.wait(_DRAIN_S)
        for store in old.values():
            store.close()
        for name in old:
            sweep(self._folder, name)
