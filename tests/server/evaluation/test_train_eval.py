"""How examples fall to nodes, how tasks are read, and how systems are compared."""

import json
from collections import Counter
from pathlib import Path

import pytest

from frag.errors import BadRequestError, SettingsError
from prompt_tuning.dataset import make_example
from server.evaluation.training.evaluate import TrainPlan, _reduce
from server.evaluation.training.partition import Labelled, partition
from server.evaluation.training.plan import limited, make_job
from server.evaluation.training.tasks import load_task, merged

SILOS = {
    f"silo-{s}": [
        make_example(question=f"q{s}-{g}-{n}", answers=("a",), passages=(f"passage {s}-{g}",))
        for g in range(5)
        for n in range(4)
    ]
    for s in range(6)
}
TASK = Labelled(name="t", silos=SILOS, test=[make_example(question="?", answers=("x",))], measure="token_f1")


@pytest.mark.parametrize("kind", ["natural", "iid", "dirichlet:0.5", "dirichlet:10"])
def test_every_example_falls_to_one_node_and_passages_stay_together(kind: str) -> None:
    parts = partition(TASK, kind, 3, seed=1)
    ids = Counter(example.example_id for examples in parts.values() for example in examples)
    assert len(ids) == 120
    assert set(ids.values()) == {1}
    homes = {}
    for node, examples in parts.items():
        for example in examples:
            assert homes.setdefault(example.passages, node) == node
    assert parts == partition(TASK, kind, 3, seed=1)


def test_natural_keeps_silos_whole_and_iid_mixes_them() -> None:
    natural = partition(TASK, "natural", 3, seed=0)
    assert [len(examples) for examples in natural.values()] == [40, 40, 40]
    assert all(len({e.question.split("-")[0] for e in examples}) == 2 for examples in natural.values())
    assert all(len({e.question.split("-")[0] for e in es}) > 2 for es in partition(TASK, "iid", 3, seed=0).values())


@pytest.mark.parametrize(("kind", "nodes"), [("round", 3), ("dirichlet:", 3), ("natural", 7)])
def test_what_cannot_be_split_is_said(kind: str, nodes: int) -> None:
    with pytest.raises(BadRequestError):
        partition(TASK, kind, nodes, seed=0)


def test_the_last_articles_are_unseen(tmp_path: Path) -> None:
    articles = [
        {
            "title": f"t{n}",
            "paragraphs": [{"context": f"c{n}", "qas": [{"question": f"q{n}", "answers": [{"text": "a"}]}]}],
        }
        for n in range(4)
    ]
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": articles}))
    task = load_task(path, 1)
    assert list(task.silos) == ["0-t0", "1-t1", "2-t2"]
    assert [example.question for example in task.test] == ["q3"]
    for number in (0, 4):
        with pytest.raises(BadRequestError):
            load_task(path, number)


def test_intents_become_domains(tmp_path: Path) -> None:
    (tmp_path / "domains.json").write_text(json.dumps({"auto_and_commute": ["gas"], "travel": ["visa"]}))
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"train": [["fill up", "gas"], ["do I need one", "visa"]], "test": [["petrol", "gas"]]}))
    task = load_task(path, 1)
    assert task.measure == "accuracy"
    assert set(task.silos) == {"auto_and_commute", "travel"}
    assert task.test[0].answers == ("auto and commute",)
    assert "auto and commute, travel" in task.instruction


def test_options_override_the_job(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('name = "a"\ndataset = "b"\n[method]\nkind = "deep"\nnum_virtual_tokens = 7\n')
    job = make_job(path, place="before", rounds=3)
    assert (job.method.kind, job.method.place, job.rounds.number) == ("deep", "before", 3)
    assert job.method.num_virtual_tokens == 7  # type: ignore[union-attr]
    assert make_job(path, method="lora").method.kind == "lora"
    with pytest.raises(SettingsError, match="method"):
        make_job(None, method="magic")


def test_limits_spread_over_the_test_questions() -> None:
    many = Labelled(
        name="t",
        silos=SILOS,
        test=[make_example(question=str(n), answers=("x",)) for n in range(10)],
        measure="token_f1",
    )
    small = limited(many, num_test=3, num_train=2)
    assert [example.question for example in small.test] == ["0", "3", "6"]
    assert {len(examples) for examples in small.silos.values()} == {2}


def test_gains_are_paired_by_question_over_seeds(tmp_path: Path) -> None:
    plan = TrainPlan(
        task=TASK,
        job=make_job(None),
        num_nodes=2,
        partition="iid",
        seeds=range(2),
        folder=tmp_path,
        systems=frozenset({"federated"}),
        language_model="m",
        threads=1,
    )

    def scores(*f1: float) -> dict[str, object]:
        return {"gold": {"token_f1": list(f1), "exact_match": [0.0] * len(f1)}}

    trained = {"seconds": 1.0, "curve": [], "num_bytes": 8}
    runs = [
        {"zero_shot": scores(0.0, 0.5), "federated": scores(1.0, 0.5) | trained},
        {"zero_shot": scores(0.0, 0.5), "federated": scores(0.0, 0.5) | trained},
    ]
    report = _reduce(plan, runs)
    assert report["federated"]["token_f1"] == 0.5
    assert report["gains"]["zero_shot"]["token_f1"] == 0.25
    assert report["nodes"] == {}


def test_merged_tasks_fall_to_nodes_of_their_own_and_carry_their_instruction() -> None:
    labels = Labelled(
        name="labels",
        silos={"x": [make_example(question="fill up", answers=("travel",))]},
        test=[make_example(question="petrol", answers=("travel",))],
        measure="accuracy",
        instruction="Name the domain.",
    )
    both = merged([TASK, labels])
    assert {name: len(examples) for name, examples in both.silos.items()} == {"t": 120, "labels": 1}
    assert [example.question for example in both.test] == ["?", "Name the domain. petrol"]
    parts = partition(both, "natural", 2, seed=0)
    assert sorted(map(len, parts.values())) == [1, 120]
    assert merged([TASK]) is TASK
