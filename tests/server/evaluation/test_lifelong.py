"""What is forgotten is counted as it should be, and traffic is changed as stated."""

import json
from pathlib import Path

import numpy as np
import pytest

from frag.errors import BadRequestError
from frag.protocols import FloatArray
from prompt_tuning.dataset import make_example
from prompt_tuning.job import JobSettings
from server.evaluation.drift import DriftPlan, evaluate_drift, load_utterances, scenarios
from server.evaluation.training.lifelong import LifelongPlan, forgetting
from server.evaluation.training.partition import Labelled

UTTERANCES = {f"d{d}": {f"i{d}-{i}": [f"{d} {i} {n}" for n in range(60)] for i in range(4)} for d in range(4)}


def embed(texts: "list[str]") -> FloatArray:
    """An axis for each domain and intent, and noise of its own for each text."""
    rows = np.zeros((len(texts), 24))
    for row, text in zip(rows, texts, strict=True):
        domain, intent, number = map(int, text.split())
        row[:] = np.random.default_rng(number + 100 * (4 * domain + intent)).normal(0, 0.05, 24)
        row[domain] += 1
        row[4 + 4 * domain + intent] += 1
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_forgetting_is_the_fall_from_the_best_before() -> None:
    curve = [{"a": 0.8}, {"a": 0.9, "b": 0.5}, {"a": 0.3, "b": 0.7, "c": 1.0}]
    assert forgetting(curve, ["a", "b"]) == pytest.approx((0.6 - 0.2) / 2)
    assert forgetting([{"a": 0.8}], []) == 0.0


def test_domains_arrive_in_a_drawn_order_and_go_to_nodes_in_turn(tmp_path: Path) -> None:
    silos = {f"d{n}": [make_example(question=f"q{n}", answers=(f"d{n}",))] for n in range(5)}
    plan = LifelongPlan(
        task=Labelled(name="t", silos=silos, test=[], measure="accuracy"),
        job=JobSettings(name="a", dataset="a"),
        num_nodes=2,
        domains_each=2,
        remedies={},
        buffer_examples=0,
        joint=False,
        seed=0,
        folder=tmp_path,
        language_model="none",
        threads=1,
    )
    arrivals = plan.arrivals()
    assert [len(arrival) for arrival in arrivals] == [2, 2, 1]
    order = [domain for arrival in arrivals for domain in arrival]
    assert sorted(order) == sorted(silos)
    assert [plan.node_of(domain) for domain in order] == ["node-0", "node-1", "node-0", "node-1", "node-0"]


def plan_of(**changes: int) -> DriftPlan:
    sizes = {"window": 20, "reference_windows": 3, "num_windows": 5, "trials": 2, "seed": 0, **changes}
    return DriftPlan(utterances=UTTERANCES, **sizes)


def test_what_is_exchanged_never_was_usual() -> None:
    for scenario in scenarios(plan_of()):
        assert len(scenario.usual) == len(scenario.later) == 480
        assert not set(scenario.usual) & set(scenario.later)
    domains, topics = scenarios(plan_of())
    assert len({text.split()[0] for text in domains.usual}) == 2
    assert len({text.split()[0] for text in topics.usual}) == 4


def test_a_change_is_seen_and_too_few_questions_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.evaluation.drift._NUM_DOCUMENTS", 100)
    report = evaluate_drift(plan_of(), embed, lambda *_: None)  # type: ignore[arg-type]
    assert report["all_detected_within_3"]
    assert report["max_false_triggers"] <= 1
    with pytest.raises(BadRequestError, match="questions are needed"):
        evaluate_drift(plan_of(num_windows=50), embed, lambda *_: None)  # type: ignore[arg-type]


def test_utterances_are_read_by_domain_and_intent(tmp_path: Path) -> None:
    (tmp_path / "domains.json").write_text(json.dumps({"cars": ["gas"]}))
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"train": [["fill up", "gas"]], "val": [["petrol", "gas"]], "test": []}))
    assert load_utterances(path) == {"cars": {"gas": ["fill up", "petrol"]}}
    path.write_text("[]")
    with pytest.raises(BadRequestError):
        load_utterances(path)
