"""What the operator does from the command line, to a node that runs or to its folder."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from rich.console import Console
from rich.text import Text

from frag.errors import UnreachableError
from retrievers.checking import IndexCheck, check_folder
from retrievers.compaction import Compaction, compact_folder
from retrievers.generations import CHANGE_LOCK, coming_folders, folder_of, is_there
from retrievers.locking import shared
from retrievers.succession import drop_gone
from server.node.journal import Entry, Journal
from server.node.local.client import address_of, call
from server.node.local.receiving import sweep
from server.node.state import NodeFolder
from server.node.switch import ReleaseSwitch

_RATED = {1: "up", 0: "–", -1: "down"}


def stop(folder: NodeFolder, reason: str) -> str:
    """Sets the switch, durably, and says what is sure now. Works without the node, too.

    Raises:
        SettingsError: There is no node in the folder.
    """
    folder.settings()
    switch = ReleaseSwitch(folder.release_switch)
    switch.stop(reason)  # the file first: it counts whatever the node is doing
    try:
        call(folder, "POST", "/release/stop", {"reason": reason})
    except UnreachableError:
        _note(folder, "stopped")
        return "Release is stopped. No running node has confirmed it; one looks at the switch before every release."
    return "Release is stopped: nothing leaves this node any more."


def resume(folder: NodeFolder) -> str:
    """Takes the switch back. Raises SettingsError when there is no node in the folder."""
    folder.settings()
    try:
        call(folder, "POST", "/release/resume", {})
    except UnreachableError:
        _note(folder, "resumed")
        ReleaseSwitch(folder.release_switch).resume()
    return "Answers leave again, as the policy says."


def _note(folder: NodeFolder, kind: Literal["stopped", "resumed"]) -> None:
    with closing(Journal.open(folder.journal)) as journal:
        journal.append([Entry(kind=kind)])


def page_address(folder: NodeFolder) -> str:
    """The address of the page, with the token behind the `#`, where no server sees it.

    Raises:
        UnreachableError: The node does not run, or has no local API.
    """
    address = address_of(folder)
    if address is None:
        raise UnreachableError("The node does not run here, or its local API is switched off.", "`frag node run`.")
    return f"{address.url}/#token={folder.local_token.read_text().strip()}"


def forget(folder: NodeFolder, collection: str, document_id: str) -> dict[str, Any]:
    """Has the running node delete a document; returns what it said. Raises FragError."""
    return call(folder, "DELETE", f"/documents/{collection}/{quote(document_id)}")


def print_forgotten(said: dict[str, Any]) -> None:
    """What went, and which prompt versions have seen it."""
    console = Console(highlight=False)
    training = said["training"]
    console.print(f"Deleted from {said['collection']}: {', '.join(said['documents']) or said['document_id']}")
    for name, number in training["datasets"].items():
        console.print(f"{number} examples of the data set {name} held text of it and are gone.")
    for name, title in (("prompt_versions", "have seen it"), ("unknown_versions", "may have seen it")):
        if training[name]:
            console.print(f"Prompt versions that {title}: {', '.join(training[name])}")
    if training["note"]:
        console.print(training["note"])
    console.print("`frag node compact` takes what is left of it out of the index files.")


def compact(folder: NodeFolder) -> dict[str, Compaction]:
    """Compacts every collection. Raises IndexStoreError or NotReadyError."""
    done = {}
    for collection in folder.settings().collections:
        if address_of(folder) is None:
            sweep(collection.folder)
        with shared(folder.index / CHANGE_LOCK):
            done[collection.name] = compact_folder(folder_of(folder.index, collection.name))
            compact_coming(folder.index, [collection.name])
    return done


def check(folder: NodeFolder, questions: int) -> dict[str, IndexCheck]:
    """Checks the index of every collection. Raises IndexStoreError."""
    names = [collection.name for collection in folder.settings().collections]
    return {name: check_folder(folder_of(folder.index, name), questions) for name in names}


def compact_coming(index_folder: Path, collections: Sequence[str]) -> None:
    """Compacts indices that are being made for another embedder, without what was deleted meanwhile.

    Raises IndexStoreError or NotReadyError.
    """
    for name in collections:
        for coming in coming_folders(index_folder, name):
            if is_there(coming):
                drop_gone(folder_of(index_folder, name), coming)
                compact_folder(coming)


def read_journal(folder: NodeFolder, limit: int) -> dict[str, Any]:
    """The newest entries and whether the chain holds, as JSON types. Raises NotReadyError."""
    folder.settings()
    with closing(Journal.open(folder.journal)) as journal:
        read: dict[str, Any] = msgspec.to_builtins({"verdict": journal.verify(), "entries": journal.newest(limit)})
    return read


def print_journal(read: dict[str, Any]) -> None:
    """A line an entry, below it the whole hash of what left: one can search for it, and copy it."""
    console = Console(markup=False, highlight=False)
    console.print(_journal_line("time (UTC)", "what", "mode", "size", "ε"), style="bold", soft_wrap=True)
    for written in read["entries"]:
        entry = written["entry"]
        size = f"{entry['num_chars']} chars" if entry.get("num_chars") else f"{entry.get('num_bytes', 0)} bytes"
        what = f"{entry['kind']} {entry.get('reason', '')}".strip()
        cost = str(entry.get("epsilon") or "–")
        at = written["at"][:19].replace("T", " ")
        console.print(_journal_line(at, what, entry.get("mode", ""), size, cost), soft_wrap=True)
        if content_hash := entry.get("content_hash"):
            console.print(f"    {content_hash}", style="dim", soft_wrap=True)
    verdict = read["verdict"]
    state = "whole" if verdict["broken_at"] is None else f"BROKEN at entry {verdict['broken_at']}"
    console.print(f"{verdict['num_entries']} entries; the chain is {state}. Its head:")
    console.print(f"    {verdict['head'] or '–'}", soft_wrap=True)


def _journal_line(at: str, what: str, mode: str, size: str, cost: str) -> str:
    return f"{at:19}  {what:25}  {mode:9}  {size:>12}  {cost}".rstrip()


def print_feedback(said: dict[str, Any]) -> None:
    """What waits with its text, then how answers were rated. For the operator's own terminal."""
    console = Console(highlight=False)
    for held in said["feedback"]:
        head = f"{held['remark_id']}  {held['state']}  {_RATED[held['rating']]}  key {held['key']}"
        console.print(Text(head), style="bold" if held["state"] == "pending" else "dim")
        if held["state"] == "pending":
            console.print(Text(f"   asked: {_printable(held['question'])}"))
            console.print(Text(f"   right: {_printable(held['correction'])}"))
        elif held["reason"]:
            console.print(Text(f"   {held['reason'].replace('_', ' ')}"), style="dim")
    for version, counts in said["ratings"].items():
        name = version or "the model as it is"
        console.print(Text(f"{name}: {counts['up']} up, {counts['down']} down, {counts['neither']} neither"))
    if not said["feedback"]:
        console.print("Nobody has said anything yet.")


def _printable(text: str) -> str:
    """Strangers' text on a terminal: without what could steer it."""
    return "".join(character if character.isprintable() else " " for character in text)
