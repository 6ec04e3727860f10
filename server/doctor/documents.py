"""Whether an index holds what lies in its folder now."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from frag.policy_settings import CollectionSettings
from retrievers.database import connect, index_errors
from retrievers.documents import SkippedFile
from retrievers.pending import pending
from server.doctor.finding import UnwellError

MAX_LOOKING_S = 20.0
_NAMED = 3


def up_to_date(database: Path, collection: CollectionSettings, mend: str, within_s: float = MAX_LOOKING_S) -> str:
    """Raises UnwellError with the command `mend` when documents are not indexed, were changed since, or are gone.

    Answers come from what is indexed: what is missing there is not found, and what is gone may still be told.
    """
    if not collection.folder.is_dir():
        return "there is no folder"
    with index_errors(database), closing(connect(database, read_only=True)) as connection:
        found = pending(connection, collection.folder, within_s)
    parts = [
        f"{len(names)} {what} ({_some(names)})"
        for names, what in (
            (found.new, "not indexed"),
            (found.changed, "changed since"),
            (found.gone, "indexed, and gone from the folder"),
        )
        if names
    ]
    if parts:
        raise UnwellError(f"Documents: {'; '.join(parts)}.", f"Run `{mend}`.")
    if not found.is_whole:
        return f"the first {found.compared} agree with the index; there was no time for more"
    return f"all {found.compared} agree with the index{_of_skipped(found.skipped)}"


def _of_skipped(skipped: Sequence[SkippedFile]) -> str:
    if not skipped:
        return ""
    return f"; {len(skipped)} skipped ({_some([f'{file.path}: {file.code}' for file in skipped])})"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
