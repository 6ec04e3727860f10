"""Where model files lie, and whether they are whole. Never touches the network."""

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from frag.errors import ModelError
from frag.models.manifest import find_damage
from frag.models.registry import BUILT_IN, BuiltInModel, Kind

HUGGING_FACE_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

_SIGNS = {
    Kind.LANGUAGE_MODEL: ("config.json", "*.safetensors"),
    Kind.EMBEDDER: ("config.json", "*.safetensors"),
    Kind.NER: ("config.cfg", "meta.json"),
}
"""Files that a folder of each kind must hold. Weights are safetensors: a pickle could run code."""


class State(StrEnum):
    READY = "ready"
    MISSING = "missing"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of `frag models list`. `size_bytes` is what lies on disk, or the download when it is missing."""

    name: str
    kind: Kind
    licence: str
    size_bytes: int
    state: State
    path: Path


def cache_folder() -> Path:
    """`FRAG_HOME`, or `~/.cache/frag`."""
    home = os.environ.get("FRAG_HOME", "")
    return Path(home).expanduser().absolute() if home else Path.home() / ".cache" / "frag"


def model_folder(name: str) -> Path:
    """Where a built-in model lies once it is pulled."""
    return cache_folder() / "models" / name


def locate(name_or_path: str, kind: Kind, *, verify: bool = False) -> Path:
    """The folder of a model: built-in name, local folder, or Hugging Face id in the local Hugging Face cache.

    Args:
        name_or_path: What the settings name.
        kind: What it is wanted for.
        verify: Whether the files of a built-in model are hashed too (seconds), not only their sizes compared.

    Raises:
        ModelError: It is unknown, of another kind, missing or corrupt; `mend` names the command.
    """
    if name_or_path in BUILT_IN:
        return _locate_built_in(BUILT_IN[name_or_path], kind, verify=verify)
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return _checked(folder.absolute(), kind, "Name a folder that holds them, or a built-in model.")
    if HUGGING_FACE_ID.fullmatch(name_or_path):
        return _checked(_in_hugging_face_cache(name_or_path), kind, pull_command(name_or_path))
    raise ModelError(
        f"The model {name_or_path} is neither a built-in name nor a folder nor a Hugging Face id.",
        f"Use one of {', '.join(sorted(BUILT_IN))}, a folder, or org/name.",
    )


def pull_command(name: str) -> str:
    return f"Run `frag models pull {name}`."


def status(*, verify: bool = False) -> list[Row]:
    """One row per built-in model, in the order of the registry. `verify` hashes every file (seconds)."""
    return [_row(model, verify=verify) for model in BUILT_IN.values()]


def _row(model: BuiltInModel, *, verify: bool) -> Row:
    folder = model_folder(model.name)
    state = State.MISSING
    if folder.is_dir():
        state = State.CORRUPT if find_damage(folder, model, verify=verify) else State.READY
    size_bytes = model.size_bytes
    if state is State.READY:
        size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Row(
        name=model.name,
        kind=model.kind,
        licence=model.licence,
        size_bytes=size_bytes,
        state=state,
        path=folder,
    )


def _locate_built_in(model: BuiltInModel, kind: Kind, *, verify: bool) -> Path:
    if model.kind is not kind:
        fitting = sorted(name for name, other in BUILT_IN.items() if other.kind is kind)
        raise ModelError(f"The model {model.name} is a {model.kind}, not a {kind}.", f"Use {', '.join(fitting)}.")
    folder = model_folder(model.name)
    if not folder.is_dir():
        raise ModelError(f"The model {model.name} is not in {folder}.", pull_command(model.name))
    if damage := find_damage(folder, model, verify=verify):
        raise ModelError(f"The model {model.name} in {folder} is corrupt: {damage}.", pull_command(model.name))
    return folder


def _in_hugging_face_cache(model_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model_id, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        raise ModelError(
            f"{model_id} is not a folder here, and no such model is in the local Hugging Face cache.",
            pull_command(model_id),
        ) from error


def _checked(folder: Path, kind: Kind, mend: str) -> Path:
    absent = [sign for sign in _SIGNS[kind] if not any(folder.glob(sign))]
    if absent:
        raise ModelError(f"{folder} is not a {kind}: it has no {' and no '.join(absent)}.", mend)
    return folder
