"""`frag privacy`: the figures that budgets are planned with."""

import json

import pytest
from typer.testing import CliRunner

from frag.errors import BadRequestError, SettingsError
from server.cli import app


def printed(*arguments: str) -> dict[str, float]:
    result = CliRunner().invoke(app, ["privacy", *arguments, "--json"])
    if result.exception is not None:
        raise result.exception
    found: dict[str, float] = json.loads(result.stdout)
    return found


def test_epsilon_of_a_plan() -> None:
    found = printed("epsilon", "--noise-multiplier", "1", "--sampling-rate", "0.1", "--steps", "100")
    assert 7.03 <= found["epsilon_pld"] <= 7.06
    assert found["epsilon_rdp"] == pytest.approx(7.9039, abs=1e-3)


def test_the_clip_of_a_budget_is_rounded_down() -> None:
    found = printed("decoding", "--epsilon", "8", "--references", "8", "--tokens", "64")
    assert int(found["clip"] * 100) == 172
    text = CliRunner().invoke(app, ["privacy", "decoding", "--epsilon", "8", "--questions", "10"]).stdout
    assert text.startswith("C = 0.54:")


def test_what_is_no_plan_says_what_is() -> None:
    with pytest.raises(SettingsError, match="no plan"):
        printed("epsilon", "--noise-multiplier", "-1", "--sampling-rate", "0.1", "--steps", "5")


def test_a_training_plan_has_a_price_and_a_price_its_noise() -> None:
    found = printed("training", "--units", "320", "--batch", "16", "--noise", "2", "--rounds", "10", "--steps", "20")
    assert found["epsilon_pld"] == pytest.approx(1.56, abs=0.01)
    planned = printed("training", "--units", "320", "--epsilon", "1.7")
    assert planned["epsilon_pld"] <= 1.7
    assert 1.8 < planned["noise_multiplier"] < 2
    text = CliRunner().invoke(app, ["privacy", "training", "--units", "320", "--noise", "2"]).stdout
    assert text.startswith("σ = 2, q = 0.0500, 200 steps: ε = 1.56")


def test_a_plan_asks_for_one_unknown() -> None:
    for options in ([], ["--noise", "1", "--epsilon", "1"]):
        with pytest.raises(BadRequestError, match="noise or the budget"):
            printed("training", "--units", "50", *options)
