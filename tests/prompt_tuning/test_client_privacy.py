"""DP-FedAvg: clipped updates, a fixed divisor, a clipping norm that follows its quantile, and secret samples."""

from typing import Any

import numpy as np
import pytest

from frag.errors import LedgerError
from frag.privacy.accounting import plan_epsilon
from frag.privacy.draws import SecretDraws
from frag.updates import Update
from prompt_tuning.client_privacy import ClientPlan, ClientSum, draw_nodes
from prompt_tuning.job import JobSettings
from prompt_tuning.rounds import Round, choose_nodes
from prompt_tuning.spending import client_spent, published_claim, rounds_allowed, spent_by
from prompt_tuning.strategies import ServerState

START = {"w": np.zeros(3, np.float32)}


def job(*, nodes: int = 1000, per_round: int = 100, rounds: int = 10, **privacy: Any) -> JobSettings:
    return JobSettings.model_validate(
        {
            "name": "a",
            "dataset": "b",
            "evaluation": {"every": 0},
            "rounds": {"number": rounds, "nodes_per_round": per_round},
            "privacy": {"mode": "client", "nodes": nodes, **privacy},
        }
    )


def delta(*values: float) -> dict[str, np.ndarray]:
    return {"w": np.array(values, np.float32)}


def test_updates_are_clipped_and_divided_by_the_expected_number() -> None:
    """Two of an expected hundred came: the sum is over a hundred all the same."""
    total = ClientSum(ClientPlan.of(job(clip_norm=1.0, noise_multiplier=1e-9, clip_rate=0)), START, 0.0)
    total.add(delta(3, 4, 0))
    total.add(delta(0, 0, 0.5))
    mean, clip_norm = total.finish(SecretDraws())
    np.testing.assert_allclose(mean["w"], [0.006, 0.008, 0.005], rtol=1e-5)
    assert clip_norm == 1.0


def test_the_noise_is_of_sigma_times_the_norm() -> None:
    like = {"w": np.zeros(100_000, np.float32)}
    plan = ClientPlan.of(job(clip_norm=2.0, noise_multiplier=1.5, clip_rate=0))
    mean, _ = ClientSum(plan, like, 0.0).finish(SecretDraws(bytes(32)))
    assert float(mean["w"].std()) == pytest.approx(1.5 * 2.0 / 100, rel=0.02)


def test_the_clipping_norm_follows_the_quantile_of_norms() -> None:
    """Norms spread over [0, 1]: half of them are below 0.5."""
    plan, clip_norm = ClientPlan.of(job(noise_multiplier=0.5)), 0.1
    for _ in range(60):
        total = ClientSum(plan, START, clip_norm)
        for number in range(100):
            total.add(delta(number / 100, 0, 0))
        _, clip_norm = total.finish(SecretDraws())
    assert clip_norm == pytest.approx(0.5, abs=0.1)


def test_count_and_sum_together_cost_as_much_as_the_noise_alone() -> None:
    """Theorem 1 of Andrew et al.: z^-2 = z_Δ^-2 + (2 σ_b)^-2."""
    plan = ClientPlan.of(job(noise_multiplier=2.0))
    assert plan.count_noise == 5.0
    assert plan.update_noise**-2 + (2 * plan.count_noise) ** -2 == pytest.approx(2.0**-2)
    assert ClientPlan.of(job(noise_multiplier=2.0, clip_rate=0)).update_noise == 2.0
    few = ClientPlan.of(job(per_round=10, noise_multiplier=3.0))
    assert few.update_noise <= 3.0 * 1.155, "never more than a quarter for the count"


def test_nodes_are_drawn_independently_and_in_secret() -> None:
    names = [f"n{number:04}" for number in range(1000)]
    sizes = [len(draw_nodes(names, ClientPlan.of(job()), SecretDraws())) for _ in range(300)]
    assert np.mean(sizes) == pytest.approx(100, abs=3)
    assert np.var(sizes) == pytest.approx(90, rel=0.4)
    assert choose_nodes(job(), names, 0) != choose_nodes(job(), names, 0)
    assert choose_nodes(job(per_round=0), names, 0) == names


def played(settings: JobSettings, state: ServerState, *updates: Update) -> Any:
    current = Round(settings, state)
    for update in updates:
        assert current.offer(update)
    return current.finish()


def test_a_round_counts_nodes_alike_and_tells_nothing_of_them() -> None:
    settings = job(clip_norm=1.0, noise_multiplier=1e-9)
    loud = Update(node_id="a", round_num=0, delta=delta(50, 0, 0), num_examples=90_000, metrics={"loss": 1.0})
    quiet = Update(node_id="b", round_num=0, delta=delta(0, 0.5, 0), num_examples=1, metrics={"loss": 3.0})
    result = played(settings, ServerState(weights=START), loud, quiet)
    np.testing.assert_allclose(result.state.weights["w"], [0.01, 0.005, 0], rtol=1e-3, atol=1e-6)
    assert dict(result.metrics) == {"clip_norm": 1.0}


def test_a_round_in_which_nobody_came_is_noise() -> None:
    result = played(job(), ServerState(weights=START))
    assert (result.state.weights["w"] != 0).all()
    assert result.state.round_num == 1


def test_the_clipping_norm_survives_a_restart() -> None:
    state = played(job(), ServerState(weights=START)).state
    again = ServerState.from_bytes(state.to_bytes())
    assert again.clip_norm == state.clip_norm != 0
    assert played(job(), again).metrics["clip_norm"] == state.clip_norm


def test_the_budget_ends_the_job_before_the_round_that_would_exceed_it() -> None:
    settings = job(rounds=500, noise_multiplier=2.0, max_epsilon=2.0)
    allowed = rounds_allowed(settings)
    assert 1 < allowed < 500
    assert plan_epsilon(2.0, 0.1, allowed) <= 2.0 < plan_epsilon(2.0, 0.1, allowed + 1)
    assert spent_by(settings, [])["rounds"] == allowed
    assert rounds_allowed(job(rounds=3, noise_multiplier=2.0)) == 3
    with pytest.raises(LedgerError, match="One round"):
        rounds_allowed(job(max_epsilon=0.01))


def test_two_epsilons_are_told() -> None:
    spent = client_spent(job(noise_multiplier=2.0), 5)
    assert spent["epsilon"] == plan_epsilon(2.0, 0.1, 5)
    assert spent["epsilon_sampling_known"] == plan_epsilon(2.0, 1.0, 5) > spent["epsilon"]
    assert published_claim(job(noise_multiplier=2.0), 5) == spent


def test_what_a_version_tells_of_records_is_the_budget() -> None:
    settings = {
        "name": "a",
        "dataset": "b",
        "evaluation": {"every": 0},
        "privacy": {"mode": "record", "max_epsilon": 4},
    }
    assert published_claim(JobSettings.model_validate(settings), 3) == {"epsilon": 4, "delta": 1e-5}
    assert published_claim(JobSettings.model_validate({"name": "a", "dataset": "b"}), 3) == {}
