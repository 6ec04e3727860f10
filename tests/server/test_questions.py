"""How much of a question is masked is a setting, and what was applied is said."""

from pathlib import Path

import pytest

from frag.settings import ModelSettings
from server.questions import QuestionScrubber

QUESTION = "Does Marie Curie answer at marie@example.org?"


def test_the_default_leaves_public_names() -> None:
    scrubbed, said = QuestionScrubber("patterns", "").scrub(QUESTION)
    assert scrubbed.text == "Does Marie Curie answer at <EMAIL_ADDRESS_Q1>?"
    assert (said.scrub, said.masked) == ("patterns", {"EMAIL_ADDRESS": 1})


@pytest.mark.parametrize(("level", "wanted"), [("off", True), ("patterns", False), ("full", False)])
def test_off_is_off(level: str, wanted: bool) -> None:
    scrubbed, said = QuestionScrubber(level, "").scrub(QUESTION, wanted=wanted)  # type: ignore[arg-type]
    assert (scrubbed.text, said.scrub, said.masked) == (QUESTION, "off", {})


def test_full_without_its_model_says_that_only_patterns_were_applied(tmp_path: Path) -> None:
    scrubbed, said = QuestionScrubber("full", str(tmp_path / "nothing")).scrub(QUESTION)
    assert "Marie Curie" in scrubbed.text
    assert said.scrub == "patterns"


def test_full_masks_every_name_that_is_found(real_models: ModelSettings) -> None:
    scrubbed, said = QuestionScrubber("full", real_models.ner).scrub(QUESTION)
    assert scrubbed.text == "Does <PERSON_Q1> answer at <EMAIL_ADDRESS_Q1>?"
    assert said.scrub == "full"
