"""What options offer is what the modules behind them know, and help and parser show it."""

from enum import StrEnum
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from frag.answers import METHODS as AGGREGATIONS
from frag.quantization import Encoding
from frag.types import AnswerMode, Place
from prompt_tuning.job import JobSettings
from server.audit.registry import ATTACKS
from server.cli import app
from server.commands import choices
from server.coordinator.auth import SCOPES


def offered(choice: Any) -> set[str]:
    return {str(member) for member in choice} if isinstance(choice, type) else set(get_args(choice))


@pytest.mark.parametrize(
    ("choice", "known"),
    [
        (choices.Mode, set(AnswerMode)),
        (choices.Aggregation, set(AGGREGATIONS)),
        (choices.EncodingName, set(Encoding)),
        (choices.Where, set(Place)),
        (choices.Scope, SCOPES),
    ],
)
def test_every_choice_is_known_and_offered(choice: type[StrEnum], known: set[str]) -> None:
    assert offered(choice) == {str(name) for name in known}


@pytest.mark.parametrize(("field", "choice"), [("method", choices.Method), ("strategy", choices.Strategy)])
def test_what_a_job_is_made_of_can_be_named(field: str, choice: Any) -> None:
    for name in offered(choice):
        assert JobSettings.model_validate({"name": "n", "dataset": "d", field: {"kind": name}})


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["ask"], ["none|scrub|consensus|dp", "decoding|keywords", "best|vote|medoid|synthesize"]),
        (["coordinator", "key", "add"], ["query|train|metrics|admin"]),
        (["bench", "rounds"], ["fp32|fp16|int8"]),
        (["eval", "train"], ["before|after", "fedavg|fedprox"]),
        (["audit"], ["".join(choices.ATTACKS.split())]),
    ],
)
def test_help_shows_the_choices(arguments: list[str], shown: list[str]) -> None:
    text = "".join(CliRunner().invoke(app, [*arguments, "--help"]).output.split())
    assert [choice for choice in shown if choice not in text] == []


def test_every_attack_is_named() -> None:
    assert choices.ATTACKS.replace(" or ", ", ").split(", ") == list(ATTACKS)


def test_a_word_that_is_no_choice_is_refused_with_those_that_are() -> None:
    done = CliRunner().invoke(app, ["ask", "q", "--mode", "loud"])
    assert done.exit_code == 2
    assert all(repr(str(mode)) in done.output for mode in AnswerMode)
