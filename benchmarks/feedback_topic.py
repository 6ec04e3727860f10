"""Corrections on one topic, learnt by a run like that of a standing job: what they do to that topic and to the others.

`python benchmarks/feedback_topic.py data_small.json [--topic travel] [--corrections 30] [--wrong] [--out FILE.json]`

A live version is trained over three nodes on nine of CLINC150's ten domains. Then askers correct questions of the tenth
at the three nodes; with `--wrong` each correction names another domain, as a flood of bad ones would if a policy took
it. One run follows, with the replay and the margin of `[standing]`'s defaults. Held-out questions of the topic and of
the others are answered by the live version and by the candidate, and the gate decides.
"""

import argparse
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from frag.durable import write_atomic
from frag.sampling import derive_seed
from frag.updates import Weights
from prompt_tuning.dataset import Example
from prompt_tuning.gate import judge
from prompt_tuning.job import JobSettings
from prompt_tuning.local_training import Remembered
from prompt_tuning.simulation import Simulation
from prompt_tuning.standing import StandingSettings
from prompt_tuning.trainable import Prepared
from server.evaluation.training.lifelong import Bench, LifelongPlan, open_bench
from server.evaluation.training.plan import make_job, spread
from server.evaluation.training.tasks import load_domains

_NODES = ("a", "b", "c")


def main() -> None:
    options = _options()
    rules = StandingSettings()
    task = spread(load_domains(options.data), num_test=options.questions, num_train=options.examples)
    job = make_job(None, rounds=options.rounds, steps=options.steps, learning_rate=3e-3)
    others = {name: silo for name, silo in task.silos.items() if name != options.topic}
    corrections = list(task.silos[options.topic])[: options.corrections]
    if options.wrong:
        corrections = _mislabelled(corrections, sorted(name.replace("_", " ") for name in others))
    task = replace(task, silos={**others, options.topic: corrections})
    plan = LifelongPlan(
        task=task, job=job, num_nodes=len(_NODES), domains_each=1, remedies={}, buffer_examples=rules.buffer_examples,
        joint=False, seed=options.seed, folder=Path(), language_model=options.model, threads=options.threads,
    )  # fmt: skip
    bench = open_bench(plan, lambda what, done, total: print(f"\r{what} {done}/{total}   ", end="", flush=True))
    old = _dealt([example for silo in others.values() for example in silo], options.seed)
    live = _trained(bench, job, {node: bench.of(old[node]) for node in _NODES}, {}, bench.trainable.initial(seed=0))
    new = _dealt(corrections, options.seed)
    remembered = {node: Remembered(old=bench.of(old[node]), share=options.replay, anchor=live) for node in _NODES}
    run = make_job(None, rounds=options.run_rounds, steps=options.run_steps, learning_rate=options.run_rate)
    candidate = _trained(bench, run, {node: bench.of(new[node]) for node in _NODES}, remembered, live)
    report = _compared(bench, options, live, candidate, rules.margin)
    print("\n" + json.dumps(report, indent=1))
    if options.out:
        write_atomic(options.out, json.dumps(report, indent=1).encode())


def _compared(
    bench: Bench, options: argparse.Namespace, live: Weights, candidate: Weights, margin: float
) -> dict[str, Any]:
    names = list(bench.plan.task.silos)
    seen = {"live": bench.accuracy(live, names), "candidate": bench.accuracy(candidate, names)}
    figures = {}
    for version, accuracy in seen.items():
        rest = [accuracy[name] for name in names if name != options.topic]
        figures[version] = {"f1_new": accuracy[options.topic], "f1_old": sum(rest) / len(rest)}
    verdict = judge(figures["live"], figures["candidate"], margin)
    return {
        "topic": options.topic,
        "corrections": options.corrections,
        "wrong": options.wrong,
        "run": [options.run_rounds, options.run_steps, options.run_rate, options.replay],
        "seed": options.seed,
        "held_out_of_topic": len(bench.tests[options.topic]),
        "accuracy": seen,
        "topic_and_others": figures,
        "decision": verdict.decision,
        "reason": verdict.reason,
    }


def _trained(
    bench: Bench,
    job: JobSettings,
    nodes: dict[str, list[Prepared]],
    remembered: dict[str, Remembered],
    weights: Weights,
) -> Weights:
    seeded = job.model_copy(update={"seed": derive_seed(bench.plan.seed, "run", len(remembered)) % 2**31})
    simulation = Simulation(seeded, bench.trainable, nodes, remembered=remembered)
    state = simulation.start(weights)
    for result in simulation.run(state):
        state = result.state
        bench.tick("round", state.round_num, job.rounds.number)
    return state.weights


def _dealt(examples: list[Example], seed: int) -> dict[str, list[Example]]:
    mixed = sorted(examples, key=lambda example: derive_seed(seed, "deal", example.example_id))
    return {node: mixed[number :: len(_NODES)] for number, node in enumerate(_NODES)}


def _mislabelled(examples: list[Example], names: list[str]) -> list[Example]:
    draw = random.Random(0)
    return [replace(example, answers=(draw.choice(names),)) for example in examples]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="CLINC150's data_small.json with domains.json beside it")
    parser.add_argument("--topic", default="travel")
    parser.add_argument("--corrections", type=int, default=30)
    parser.add_argument("--wrong", action="store_true", help="each correction names another domain")
    parser.add_argument("--questions", type=int, default=200, help="held-out questions over all domains")
    parser.add_argument("--examples", type=int, default=40, help="training examples of each domain")
    parser.add_argument("--rounds", type=int, default=6, help="of the live version's training")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument(
        "--replay", type=float, default=StandingSettings().replay, help="share of old examples in a batch"
    )
    parser.add_argument("--run-rounds", type=int, default=2, help="of the run that follows")
    parser.add_argument("--run-steps", type=int, default=10)
    parser.add_argument("--run-rate", type=float, default=3e-3, help="learning rate of that run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
