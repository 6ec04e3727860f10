"""A mix of shared and local weights: by hand, and chosen on examples that do not judge it."""

import numpy as np
import pytest

from frag.updates import Weights
from prompt_tuning import personal as module
from prompt_tuning.local_training import LocalSettings, Trained
from prompt_tuning.personal import Personal, best_share, mixed, personalise


def weights(*values: float) -> Weights:
    return {"b": np.array(values, dtype=np.float32)}


def test_a_mix_by_hand() -> None:
    found = mixed(weights(0, 2), weights(4, -2), 0.25)
    assert found["b"].tolist() == [1.0, 1.0]
    assert found["b"].dtype == np.float32
    assert mixed(weights(1, 2), weights(5, 6), 0.0)["b"].tolist() == [1.0, 2.0]


def test_of_equal_losses_the_mix_nearest_to_the_shared_weights_is_taken() -> None:
    assert best_share({1.0: 0.5, 0.25: 0.5, 0.0: 0.7}) == 0.25


def test_the_gain_is_the_part_of_the_loss_that_is_saved() -> None:
    found = Personal(weights={}, share=1.0, shared_loss=2.0, personal_loss=1.5)
    assert found.gain == 0.25
    assert Personal(weights={}, share=0.0, shared_loss=0.0, personal_loss=0.0).gain == 0


class Bowl:
    """Its loss is the distance of the weight from what the examples say."""

    def loss_of(self, given: Weights, examples: list[float]) -> float:
        return float(np.mean([abs(given["b"][0] - example) for example in examples]))


@pytest.fixture
def trained_to(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Where local training leads; the test fills it in."""
    target: list[float] = []

    def train(*_args: object, **_options: object) -> Trained:
        return Trained(weights=weights(*target), num_examples=1, num_steps=1, metrics={})

    monkeypatch.setattr(module, "train", train)
    return target


def personal(chooses: list[float], judges: list[float]) -> Personal:
    return personalise(
        Bowl(),  # type: ignore[arg-type]
        weights(0.0),
        [0],  # type: ignore[list-item]
        chooses=chooses,  # type: ignore[arg-type]
        judges=judges,  # type: ignore[arg-type]
        settings=LocalSettings(),
        seed=0,
    )


def test_what_went_too_far_is_taken_in_part(trained_to: list[float]) -> None:
    trained_to.append(4.0)
    found = personal(chooses=[1.0], judges=[1.2])
    assert (found.share, found.weights["b"].tolist()) == (0.25, [1.0])
    assert found.gain == pytest.approx(1 - 0.2 / 1.2)


def test_what_helps_only_those_that_choose_is_judged_by_others(trained_to: list[float]) -> None:
    trained_to.append(4.0)
    found = personal(chooses=[4.0], judges=[-1.0])
    assert found.share == 1.0
    assert found.gain == pytest.approx(-4.0)


def test_what_does_not_help_is_not_taken(trained_to: list[float]) -> None:
    trained_to.append(4.0)
    found = personal(chooses=[-1.0], judges=[-1.0])
    assert (found.share, found.gain) == (0.0, 0.0)


def test_without_judges_nothing_is_claimed() -> None:
    with pytest.raises(ValueError, match="judge"):
        personal(chooses=[1.0], judges=[])
