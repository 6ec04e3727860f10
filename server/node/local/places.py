"""Where a document's file is: ids of documents are paths inside the folder of their collection, and never lead out."""

import os
import re
from pathlib import Path

from frag.durable import sync_folder
from frag.errors import BadRequestError, DocumentError
from retrievers.formats import READERS

_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")
_MAX_ID_BYTES = 1024
_MAX_PART_BYTES = 200


def place_of(folder: Path, document_id: str) -> Path:
    """The file of a document. Blocking, since links are followed to see where they lead.

    Raises:
        BadRequestError: The id is no path inside the folder.
    """
    if (odd := _of_other_bytes(folder, document_id)) is not None:
        return odd
    parts = document_id.split("/")
    if not all(map(_is_name, parts)) or len(document_id.encode("utf-8", "replace")) > _MAX_ID_BYTES:
        raise BadRequestError(
            "The id is no path of a document.",
            "Use names without a leading dot, separated by /, such as reports/2024.md.",
        )
    path = folder.joinpath(*parts)
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise BadRequestError("The id leads out of the collection's folder.", "Use a path that stays inside.")
    return path


def _of_other_bytes(folder: Path, document_id: str) -> Path | None:
    """A file that is there though its name is not UTF-8: such bytes stand in its id as `\\xNN`."""
    name = os.fsdecode(_BYTE.sub(lambda found: bytes([int(found[1], 16)]), document_id.encode("utf-8", "replace")))
    parts = name.split("/")
    if name == document_id or not all(parts) or any(part.startswith(".") for part in parts):
        return None
    path = folder / name
    inside = path.parent.resolve().is_relative_to(folder.resolve())
    return path if inside and os.path.lexists(path) else None


def require_readable(path: Path) -> None:
    """Raises BadRequestError when no reader knows files of this name."""
    if path.suffix.lower() not in READERS:
        known = ", ".join(sorted(READERS))
        raise BadRequestError(
            f"There is no reader for files of this name; it must end in one of {known}.", "Rename it."
        )


def _is_name(part: str) -> bool:
    return (
        bool(part)
        and not part.startswith(".")
        and part.isprintable()
        and "\\" not in part
        and len(part.encode("utf-8", "replace")) <= _MAX_PART_BYTES
    )


def remove(path: Path) -> None:
    """Deletes a file, durably; one that is not there is no error. Raises DocumentError."""
    try:
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            sync_folder(path.parent)
    except OSError as error:
        raise DocumentError(f"The file cannot be deleted: {error.strerror}.", "Delete it yourself.") from error
