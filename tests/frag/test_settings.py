"""Settings: every wrong place is named; the environment wins over the file; paths start at the file."""

from pathlib import Path

import pytest

from frag.errors import SettingsError
from frag.settings import CoordinatorSettings, NodeSettings, load_settings
from frag.types import AnswerMode

GOOD = 'node_id = "a"\ncoordinator_url = "http://127.0.0.1:8470"\n'


def load(folder: Path, text: str) -> NodeSettings:
    file = folder / "node.toml"
    file.write_text(text)
    return load_settings(NodeSettings, file)


def test_a_minimal_file_has_safe_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, GOOD)
    assert settings.policy.answer_modes == (AnswerMode.SCRUB,)
    assert "PERSON" in settings.policy.entity_types
    assert "LOCATION" not in settings.policy.entity_types


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('node_id = "Not Allowed"\ncoordinator_url = "http://127.0.0.1:1"\n', "node_id"),
        ('node_id = "a"\n', "coordinator_url"),
        (GOOD + "polcy = 1\n", "polcy"),
        (GOOD + "[policy]\nmin_evidence = 2\n", "policy.min_evidence"),
        (GOOD + '[policy]\nanswer_modes = ["loud"]\n', "policy.answer_modes"),
        (GOOD + '[[collections]]\nname = "x y"\nfolder = "d"\n', "collections.0.name"),
        (GOOD + '[[collections]]\nname = "x"\nfolder = "d"\n' * 2, "share a name"),
        ("node_id = [", "not valid TOML"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert place in str(caught.value)
    assert "node.toml" in str(caught.value)


def test_a_missing_file_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="frag node enroll"):
        load_settings(NodeSettings, tmp_path / "node.toml")
    with pytest.raises(SettingsError, match="frag coordinator init"):
        load_settings(CoordinatorSettings, tmp_path / "coordinator.toml")


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAG_NODE_POLICY__MIN_EVIDENCE", "0.7")
    assert load(tmp_path, GOOD + "[policy]\nmin_evidence = 0.2\n").policy.min_evidence == 0.7


def test_paths_start_at_the_settings_file(tmp_path: Path) -> None:
    settings = load(tmp_path, GOOD + '[[collections]]\nname = "notes"\nfolder = "documents"\n')
    assert settings.collections[0].folder == tmp_path / "documents"


_UNDER_DP = 'node_id = "a"\ncoordinator_url = "http://127.0.0.1:1"\n[policy]\nanswer_modes = ["scrub", "dp"]\n'


@pytest.mark.parametrize(("private", "other"), [("d", "d"), ("d/p", "d"), ("d", "d/p"), ("d/../p", "p"), ("link", "d")])
def test_documents_under_dp_are_in_no_other_collection(tmp_path: Path, private: str, other: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "d")
    file = tmp_path / "node.toml"
    two = '[[collections]]\nname = "{}"\nfolder = "{}"\nanswer_modes = ["{}"]\n'
    file.write_text(_UNDER_DP + two.format("x", private, "dp") + two.format("y", other, "scrub"))
    with pytest.raises(SettingsError, match="share documents"):
        load_settings(NodeSettings, file)
    file.write_text(_UNDER_DP + two.format("x", private, "dp") + two.format("y", "apart", "scrub"))
    assert len(load_settings(NodeSettings, file).collections) == 2


def test_a_collection_that_would_answer_in_no_mode_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        _UNDER_DP.replace(', "dp"', "") + '[[collections]]\nname = "x"\nfolder = "d"\nanswer_modes = ["dp"]\n'
    )
    with pytest.raises(SettingsError, match="would answer in no mode"):
        load_settings(NodeSettings, file)
