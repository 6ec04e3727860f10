"""`frag eval methods`: what each method and place reaches in the same wall-clock time, preparation included."""

import time
from dataclasses import dataclass

import numpy as np

from frag.updates import Weights
from prompt_tuning.job import JobSettings
from prompt_tuning.local_training import Schedule, train
from prompt_tuning.methods import make_settings
from prompt_tuning.simulation import Simulation
from prompt_tuning.trainable import Prepared, Trainable
from server.evaluation.measures import interval_95
from server.evaluation.training.systems import Bench, Scores

_TIMED_STEPS = 3
_NUM_LOOKS = 4


@dataclass(frozen=True, slots=True)
class Contender:
    """A method at a place, with the learning rate that it is given."""

    kind: str
    place: str
    learning_rate: float

    @property
    def name(self) -> str:
        return f"{self.kind} {self.place}"


def within_budget(bench: Bench, job: JobSettings, contender: Contender, budget_s: float) -> Scores:
    """Federated training for about `budget_s` of wall-clock time, looked at a few times on the way.

    The number of rounds follows from a few timed steps, so that the learning rate can follow its whole schedule. Time
    that is spent on looking does not count.

    Returns:
        `points`: (seconds of training, token F1 on the test questions); `interval_95` of the last; `num_steps` of a
        node; `prepare_s`, `step_s`, `num_bytes`.
    """
    method = make_settings({"kind": contender.kind, "place": contender.place})
    local = job.local.model_copy(update={"learning_rate": contender.learning_rate})
    job = job.model_copy(update={"method": method, "local": local})
    return bench.kept(f"budget-{contender.kind}-{contender.place}", f"{budget_s} {job.model_dump_json()}",
                      lambda: _train(bench, job, budget_s))  # fmt: skip


def _train(bench: Bench, job: JobSettings, budget_s: float) -> Scores:
    started = time.perf_counter()
    trainable, nodes = bench.prepared(job)
    prepare_s = time.perf_counter() - started
    weights = bench.initial(trainable, job)
    step_s = _step_seconds(trainable, weights, job, nodes)
    num_rounds = max(_NUM_LOOKS, round((budget_s - prepare_s) / (step_s * job.local.steps * len(nodes))))
    job = job.model_copy(update={"rounds": job.rounds.model_copy(update={"number": num_rounds})})
    looks = {round(num_rounds * look / _NUM_LOOKS) for look in range(1, _NUM_LOOKS + 1)}
    points: list[tuple[float, float]] = []
    simulation = Simulation(job, trainable, nodes)
    spent_s, resumed = prepare_s, time.perf_counter()
    scores: Scores = {}
    for result in simulation.run(simulation.start(weights)):
        spent_s += time.perf_counter() - resumed
        bench.tick(f"{job.method.kind} {job.method.place}", result.state.round_num, num_rounds)
        if result.state.round_num in looks:
            scores = bench.score(result.state.weights, trainable, bench.task.test)
            points.append((round(spent_s, 1), round(float(np.mean(scores["token_f1"])), 4)))
        resumed = time.perf_counter()
    return {
        "points": points,
        "exact_match": round(float(np.mean(scores["exact_match"])), 4),
        "interval_95": interval_95(scores["token_f1"]),
        "num_steps": num_rounds * job.local.steps,
        "prepare_s": round(prepare_s, 1),
        "step_s": round(step_s, 3),
        "num_bytes": sum(value.nbytes for value in weights.values()),
    }


def _step_seconds(
    trainable: Trainable, weights: Weights, job: JobSettings, nodes: "dict[str, list[Prepared]]"
) -> float:
    """Of one local step, after one that warms up."""
    examples = next(iter(nodes.values()))
    moments = [time.perf_counter()]
    settings = job.local.model_copy(update={"steps": _TIMED_STEPS + 1})
    train(
        trainable,
        weights,
        examples,
        settings,
        Schedule(first_step=0, total_steps=settings.steps),
        seed=job.seed,
        on_step=lambda _step, _loss: moments.append(time.perf_counter()),
    )
    return (moments[-1] - moments[1]) / _TIMED_STEPS
