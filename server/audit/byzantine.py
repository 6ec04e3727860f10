"""Dishonest updates: 10 nodes of an IID split train a classifier, up to four of them lie, and the final accuracy is
compared with that of honest nodes.

Updates go through the product's `Round`. The classifier is a softmax regression on frozen sentence embeddings.

Source: Xie, Koyejo and Gupta 2019, "Fall of Empires: Breaking Byzantine-tolerant SGD by Inner Product Manipulation",
§3, for `inner product`; Yin et al. 2018, "Byzantine-Robust Distributed Learning", for the setting.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from frag.errors import UpdateError
from frag.protocols import FloatArray, Progress
from frag.sampling import derive_seed
from frag.updates import Update, Weights
from prompt_tuning.job import JobSettings
from prompt_tuning.rounds import Round
from prompt_tuning.strategies import ServerState, make_strategy
from server.audit.intents import Intents, Labels, load_intents
from server.audit.report import AuditSettings, Interval, Outcome, Report, Verdict, verdict
from server.audit.statistics import wilson

NUM_NODES = 10
TOLERATED = 3
POINTS = 0.02
RULES = ("plain", "median", "trimmed_mean", "krum", "multi_krum")
Lie = Callable[[Weights, Weights], Weights]
"""From a node's own honest update and the mean of the honest ones, which the attackers are assumed to know."""


def _scaled(weights: Weights, factor: float) -> Weights:
    return {name: (value * np.float32(factor)).astype(np.float32) for name, value in weights.items()}


LIES: Mapping[str, Lie] = {
    "sign flip": lambda own, _: _scaled(own, -1.0),
    "x100": lambda own, _: _scaled(own, 100.0),
    "inner product": lambda _, mean: _scaled(mean, -0.5),
    "inner product x10": lambda _, mean: _scaled(mean, -10.0),
    "nan": lambda own, _: {name: np.full_like(value, np.nan) for name, value in own.items()},
    "wrong shape": lambda own, _: {name: value[..., :-1] for name, value in own.items()},
}


def run(settings: AuditSettings, progress: Progress) -> Report:
    """Every rule against every lie with 0 to 4 liars of 10."""
    intents = load_intents(settings)
    num_rounds = 30 if settings.quick else 40
    liars = (0, TOLERATED, TOLERATED + 1) if settings.quick else range(TOLERATED + 2)
    runs = [
        (rule, lie, number)
        for rule in RULES
        for number in liars
        for lie in (LIES if number else ("honest",))
        if number <= _most_liars(rule)
    ]
    right = {}
    for done, (rule, lie, number) in enumerate(runs):
        progress(done, len(runs))
        right[rule, lie, number] = Federation(intents, rule, number, settings.seed).play(lie, num_rounds)
    return _report(right, len(intents.test_labels), intents.name)


def _most_liars(rule: str) -> int:
    """Krum needs n ≥ 2f + 3, the others n ≥ 2f + 1: settings refuse more."""
    return TOLERATED if "krum" in rule else TOLERATED + 1


class Federation:
    """A job over simulated nodes, some of which lie.

    Args:
        intents: Split evenly and at random.
        rule: `plain`, or one of the robust rules.
        num_liars: f; the rules are told to withstand 3, and 4 where there are 4.
        seed: Of the split.
    """

    def __init__(self, intents: Intents, rule: str, num_liars: int, seed: int) -> None:
        self._intents = intents
        self._num_liars = num_liars
        tolerated = max(TOLERATED, num_liars)
        aggregation = {"mode": "plain"} if rule == "plain" else {"mode": "robust", "rule": rule, "tolerated": tolerated}
        self._job = JobSettings.model_validate({"name": "audit", "dataset": "intents", "aggregation": aggregation})
        order = np.random.default_rng(derive_seed(seed, "split")).permutation(len(intents.train_labels))
        self._shares = np.array_split(order, NUM_NODES)

    def play(self, lie: str, num_rounds: int) -> int:
        """Test questions that the final classifier gets right."""
        width, num_classes = self._intents.train.shape[1], self._intents.num_classes
        zeros = {"bias": np.zeros(num_classes, np.float32), "weight": np.zeros((width, num_classes), np.float32)}
        state = make_strategy(self._job.strategy).init(zeros)
        for _ in range(num_rounds):
            state = self._round(state, lie)
        return self._num_right(state.weights)

    def _round(self, state: ServerState, lie: str) -> ServerState:
        """A round without enough good updates changes nothing, as at a coordinator that gives it up."""
        honest = [self._trained(state.weights, share) for share in self._shares]
        mean = _mean(honest[self._num_liars :])
        current = Round(self._job, state, NUM_NODES)
        for number, own in enumerate(honest):
            delta = LIES[lie](own, mean) if number < self._num_liars else own
            size = len(self._shares[number])
            current.offer(Update(node_id=f"n{number}", round_num=state.round_num, delta=delta, num_examples=size))
        try:
            return current.finish().state
        except UpdateError:
            return ServerState(weights=state.weights, round_num=state.round_num + 1, slots=state.slots)

    def _trained(self, weights: Weights, share: Labels, num_steps: int = 5) -> Weights:
        """Δ of some full-batch gradient steps on a node's share."""
        inputs, labels = self._intents.train[share], self._intents.train_labels[share]
        weight, bias = weights["weight"].copy(), weights["bias"].copy()
        for _ in range(num_steps):
            errors = _softmax(inputs @ weight + bias)
            errors[np.arange(len(labels)), labels] -= 1
            weight -= np.float32(self._intents.learning_rate / len(labels)) * (inputs.T @ errors)
            bias -= np.float32(self._intents.learning_rate / len(labels)) * errors.sum(axis=0)
        return {"bias": bias - weights["bias"], "weight": weight - weights["weight"]}

    def _num_right(self, weights: Weights) -> int:
        logits = self._intents.test @ weights["weight"] + weights["bias"]
        if not np.isfinite(logits).all():
            return 0
        return int((logits.argmax(axis=1) == self._intents.test_labels).sum())


def _mean(updates: Sequence[Weights]) -> Weights:
    return {name: np.mean([update[name] for update in updates], axis=0).astype(np.float32) for name in updates[0]}


def _softmax(logits: FloatArray) -> FloatArray:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: FloatArray = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def _report(right: Mapping[tuple[str, str, int], int], num_test: int, name: str) -> Report:
    clean = right["plain", "honest", 0] / num_test
    drops = {
        rule: max(clean - n / num_test for (r, _, f), n in right.items() if r == rule and f <= TOLERATED)
        for rule in RULES
    }
    best = min(drops, key=lambda rule: drops[rule])
    outcomes = []
    for rule in RULES:
        figures, intervals = _of_rule(rule, right, num_test)
        figures[f"worst drop, f <= {TOLERATED}"] = drops[rule]
        outcomes.append(
            Outcome(
                mode=rule,
                figures=figures,
                intervals=intervals,
                claim=f"best rule: within {POINTS:g} of clean ({clean:.3f}) up to f = {TOLERATED}"
                if rule == best
                else "",
                verdict=verdict(held=drops[rule] <= POINTS) if rule == best else Verdict.MEASURED,
            )
        )
    notes = [
        f"accuracy on {num_test} questions of {name}; clean is plain averaging of honest nodes",
        "the split is IID: on skewed nodes robust rules cost accuracy and hold less",
    ]
    return Report(attack="byzantine", outcomes=outcomes, notes=notes)


def _of_rule(
    rule: str, right: Mapping[tuple[str, str, int], int], num_test: int
) -> tuple[dict[str, float], dict[str, Interval]]:
    runs = {f"{lie}, f = {f}" if f else "clean": n for (r, lie, f), n in right.items() if r == rule}
    return {name: n / num_test for name, n in runs.items()}, {name: wilson(n, num_test) for name, n in runs.items()}
