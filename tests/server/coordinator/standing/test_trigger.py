"""When a run is due."""

import math

import pytest

from prompt_tuning.standing import StandingSettings
from server.coordinator.standing.trigger import Declared, due, met, num_new

SETTINGS = StandingSettings(min_nodes=2, min_new_examples=10, cooldown_s=60)


def says(a: int, b: int, *, drift: int = 0) -> dict[str, Declared]:
    return {
        "a": Declared(num_examples=a, sees_drift=drift > 0),
        "b": Declared(num_examples=b, sees_drift=drift > 1),
    }


@pytest.mark.parametrize(
    ("declared", "resting_s", "cause"),
    [
        (says(110, 20), math.inf, "new_examples"),
        (says(110, 19), math.inf, ""),
        (says(110, 20), 59.0, ""),
        (says(100, 10, drift=2), 60.0, "drift"),
        (says(100, 10, drift=1), 60.0, ""),
        ({"b": Declared(num_examples=1000)}, math.inf, ""),
    ],
)
def test_enough_nodes_need_enough_after_the_cool_down(
    declared: dict[str, Declared], resting_s: float, cause: str
) -> None:
    assert due(SETTINGS, {"a": 100, "b": 10}, declared, resting_s) == cause


def test_drift_can_be_left_out() -> None:
    settings = SETTINGS.model_copy(update={"on_drift": False})
    assert due(settings, {"a": 100, "b": 10}, says(100, 10, drift=2), math.inf) == ""


def test_what_comes_after_a_deletion_counts_as_new() -> None:
    seen = met({"a": 100, "gone": 7}, says(90, 0))
    assert seen == {"a": 90, "gone": 7}
    assert num_new(seen, says(95, 3)) == {"a": 5, "b": 3}
