"""DP-SGD on a linear toy whose gradients are known: what is clipped, noised, drawn, and never told."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from frag.errors import LedgerError
from frag.privacy.accounting import plan_epsilon
from frag.privacy.draws import SecretDraws
from prompt_tuning.dataset import Objective, make_example
from prompt_tuning.job import JobSettings
from prompt_tuning.local_training import LocalSettings, Schedule, Trained, TrainingCancelledError
from prompt_tuning.private_training import (
    Mechanism,
    by_unit,
    planned_epsilon,
    public_number,
    summed_gradients,
    train_privately,
)

WEIGHTS = {"a": np.zeros(2, np.float32), "b": np.zeros((1, 2), np.float32)}
SETTINGS = LocalSettings(steps=3, batch_size=2, micro_batch_size=1, learning_rate=0.1, warmup_steps=0, decay="constant")
SCHEDULE = Schedule(first_step=0, total_steps=3)
KEY = bytes(range(32))


def example(*gradient: float, num_labels: int = 1) -> Any:
    """Its loss is linear, so that `gradient` is that of its one label."""
    return SimpleNamespace(gradient=gradient, num_labels=num_labels)


class Linear:
    def summed_loss(self, tensors: Mapping[str, torch.Tensor], examples: Sequence[Any]) -> torch.Tensor:
        flat = torch.cat([tensors["a"], tensors["b"].ravel()])
        return sum(
            (torch.tensor(e.gradient, dtype=torch.float32) @ flat * e.num_labels for e in examples),
            start=torch.zeros(()),
        )


def tensors() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value.copy()).requires_grad_() for name, value in WEIGHTS.items()}


def summed(*units: list[Any], clip_norm: float = 1.0) -> np.ndarray:
    return summed_gradients(Linear(), tensors(), units, clip_norm, SETTINGS)  # type: ignore[arg-type]


def trained(units: Sequence[list[Any]], draws: SecretDraws, sigma: float = 1.0, **more: Any) -> Trained:
    mechanism = Mechanism(noise_multiplier=sigma, clip_norm=1.0, num_units=4, batch_size=2)
    return train_privately(
        Linear(),  # type: ignore[arg-type]
        WEIGHTS,
        units,
        SETTINGS,
        SCHEDULE,
        mechanism=mechanism,
        draws=draws,
        **more,
    )


def test_units_are_clipped_one_by_one_and_summed() -> None:
    found = summed([example(3, 0, 0, 4)], [example(0, 0.5, 0, 0)], [example(0, 0, 2, 0)])
    np.testing.assert_allclose(found, [0.6, 0.5, 1.0, 0.8], atol=1e-6)


def test_a_unit_counts_once_however_much_it_has() -> None:
    many = [example(3, 0, 0, 0)] * 50
    np.testing.assert_allclose(summed(many), [1, 0, 0, 0], atol=1e-6)
    # the mean over its labels: 1 of (1, 0) and 3 of (0, 1)
    mixed = [example(1, 0, 0, 0), example(0, 1, 0, 0, num_labels=3)]
    np.testing.assert_allclose(summed(mixed, clip_norm=10), [0.25, 0.75, 0, 0], atol=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_unit_without_a_finite_gradient_counts_nothing(wrong: float) -> None:
    np.testing.assert_allclose(summed([example(wrong, 0, 0, 0)], [example(0, 0, 0, 0.5)]), [0, 0, 0, 0.5])


def test_a_unit_without_labels_counts_nothing() -> None:
    np.testing.assert_array_equal(summed([], [example(1, 1, 1, 1, num_labels=0)]), np.zeros(4))


def test_without_a_unit_there_is_noise_all_the_same() -> None:
    found = trained([], SecretDraws())
    assert all((value != 0).all() for value in found.weights.values())


def test_the_key_decides_the_update_and_nothing_else_repeats_it() -> None:
    units = [[example(1, 0, 0, 0)], [example(0, 1, 0, 0)]]
    one, two, other = (
        trained(units, draws).weights["a"] for draws in (SecretDraws(KEY), SecretDraws(KEY), SecretDraws())
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_nothing_private_is_told() -> None:
    found = trained([[example(1, 1, 1, 1)]] * 9, SecretDraws())
    assert (found.num_examples, found.num_steps, found.metrics) == (1, 3, {})


def test_steps_go_down_the_sum_when_there_is_hardly_noise() -> None:
    """q = 1 with the public N of 4, though there are but two units: the divisor is not their number."""
    mechanism = Mechanism(noise_multiplier=1e-9, clip_norm=1.0, num_units=4, batch_size=4)
    assert (mechanism.rate, mechanism.expected) == (1.0, 4.0)
    found = train_privately(
        Linear(),  # type: ignore[arg-type]
        WEIGHTS,
        [[example(1, 0, 0, 0)], [example(0, -1, 0, 0)]],
        SETTINGS.model_copy(update={"steps": 1}),
        SCHEDULE,
        mechanism=mechanism,
        draws=SecretDraws(),
    )
    np.testing.assert_allclose(found.weights["a"], [-0.1, 0.1], rtol=1e-3)  # the first step of Adam is the sign


def test_it_can_be_cancelled() -> None:
    with pytest.raises(TrainingCancelledError):
        trained([], SecretDraws(), is_cancelled=lambda: True)


def job(**privacy: Any) -> JobSettings:
    return JobSettings.model_validate(
        {
            "name": "a",
            "dataset": "b",
            "evaluation": {"every": 0},
            "local": {"steps": 20},
            "rounds": {"number": 10},
            "privacy": {"mode": "record", **privacy},
        }
    )


def test_the_plan_is_all_steps_of_all_rounds() -> None:
    assert planned_epsilon(job(max_epsilon=38), 50) == plan_epsilon(1.0, 16 / 50, 200)
    assert planned_epsilon(job(units=50, max_epsilon=38), 7) == plan_epsilon(1.0, 16 / 50, 200)


def test_a_plan_over_the_budget_is_refused() -> None:
    with pytest.raises(LedgerError, match=r"200 steps over 50 units cost ε = 37\.2, the job allows 8"):
        planned_epsilon(job(), 50)
    with pytest.raises(LedgerError, match="1 in 2,000"):
        planned_epsilon(job(delta=1e-3), 2000)


@pytest.mark.parametrize(("units", "public"), [(0, 1), (1, 1), (57, 57), (157, 150), (1999, 1900)])
def test_the_public_number_is_rounded_down(units: int, public: int) -> None:
    assert public_number(units) == public
    assert Mechanism.of(job(), units).rate == min(1, 16 / public)


def test_examples_fall_together_by_unit() -> None:
    ann = [make_example(question=q, answers=("a",), unit="ann") for q in ("1", "2")]
    bob = make_example(question="1", answers=("a",), unit="bob")
    none = make_example(question="3", answers=("a",))
    assert sorted(map(len, by_unit([*ann, bob, none], Objective.SUPERVISED))) == [1, 1, 2]
    texts = [make_example(text=t, group="document") for t in ("one", "two")]
    assert len(by_unit(texts, Objective.CAUSAL_LM)) == 1, "plain text is protected by document"
    assert len(by_unit([make_example(text="one"), make_example(text="two")], Objective.CAUSAL_LM)) == 2
