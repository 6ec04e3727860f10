"""What `[privacy]` refuses, and what it promises in words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from frag.errors import BadRequestError
from prompt_tuning.client_privacy import check_population
from prompt_tuning.job import JobSettings, load_job
from prompt_tuning.privacy import promise

RECORD: Mapping[str, Any] = {"mode": "record"}
CLIENT: Mapping[str, Any] = {"mode": "client", "nodes": 1000}


def job_with(privacy: Mapping[str, Any], **more: Any) -> JobSettings:
    settings = {"name": "a", "dataset": "b", "evaluation": {"every": 0}, "privacy": privacy}
    return JobSettings.model_validate({**settings, **more})


REFUSED: list[tuple[Mapping[str, Any], Mapping[str, Any], str]] = [
    (RECORD, {"evaluation": {"every": 1}}, "evaluation.every = 0"),
    (RECORD, {"evaluation": {}}, "evaluation.every = 0"),
    (RECORD, {"local": {"validate_every": 5}}, "stopping early depends on private examples"),
    (RECORD, {"context": {"source": "retrieved"}}, "passages are of other units"),
    (RECORD, {"context": {"negatives": 0.1}}, "negatives take passages of other units"),
    (RECORD, {"strategy": {"kind": "fedbuff"}}, "fixed number of steps"),
    (RECORD, {"method": {"kind": "template"}}, "written prompts"),
    ({**RECORD, "units": 15}, {"local": {"batch_size": 16}}, "over the 15 privacy.units"),
    ({**RECORD, "units": 2000, "delta": 1e-3}, {}, "allows to publish a unit"),
    ({**RECORD, "noise_multiplier": 0}, {}, "greater than 0"),
    ({**RECORD, "noise_multiplier": "inf"}, {}, "noise_multiplier"),
    ({**RECORD, "clip_norm": 0}, {}, "greater than 0"),
    ({**RECORD, "max_epsilon": "inf"}, {}, "max_epsilon"),
    ({**RECORD, "delta": 0.1}, {}, "delta"),
    ({**RECORD, "nodes": 3}, {}, "nodes"),
    ({"mode": "both"}, {}, "mode"),
    (CLIENT, {"evaluation": {"every": 1}}, "evaluation.every = 0"),
    (CLIENT, {"strategy": {"kind": "fedbuff"}}, "fixed number of steps"),
    (CLIENT, {"method": {"kind": "template"}}, "written prompts"),
    (CLIENT, {"aggregation": {"mode": "robust"}}, "robust rule"),
    (CLIENT, {"aggregation": {"mode": "secagg"}}, "secagg shows it none"),
    (CLIENT, {"rounds": {"min_replies": 2}}, "no random sample"),
    (CLIENT, {"rounds": {"nodes_per_round": 1001}}, "over privacy.nodes 1000"),
    ({**CLIENT, "nodes": 200_000}, {}, "allows to expose a node"),
    ({"mode": "client"}, {}, "nodes"),
]


@pytest.mark.parametrize(("privacy", "more", "reason"), REFUSED, ids=[reason for *_, reason in REFUSED])
def test_a_claim_that_would_be_false_is_refused_with_its_reason(
    privacy: Mapping[str, Any], more: Mapping[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        job_with(privacy, **more)


ALLOWED: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
    (RECORD, {}),
    (RECORD, {"aggregation": {"mode": "robust"}}),
    (RECORD, {"aggregation": {"mode": "secagg"}}),
    (RECORD, {"update": {"encoding": "int8"}}),
    (RECORD, {"strategy": {"kind": "fedprox"}}),
    (RECORD, {"strategy": {"kind": "fedadam"}, "method": {"kind": "full"}}),
    (RECORD, {"public": {"dataset": "open"}}),
    (RECORD, {"objective": "causal_lm", "context": {"source": "none"}}),
    (CLIENT, {"context": {"source": "retrieved", "negatives": 0.1}, "local": {"validate_every": 5}}),
    (CLIENT, {"rounds": {"nodes_per_round": 100}, "strategy": {"kind": "fedyogi"}}),
    ({"mode": "none"}, {"evaluation": {"every": 1}, "local": {"validate_every": 5}}),
]


@pytest.mark.parametrize(("privacy", "more"), ALLOWED)
def test_what_only_follows_the_noise_is_allowed(privacy: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    job = job_with(privacy, **more)
    assert JobSettings.model_validate(job.model_dump()) == job
    assert JobSettings.model_validate_json(job.model_dump_json()) == job


def test_without_the_section_nothing_is_claimed() -> None:
    job = JobSettings.model_validate({"name": "a", "dataset": "b"})
    assert (job.privacy.mode, job.equal_weight, promise(job)) == ("none", 0, "")
    assert JobSettings.model_validate(job.model_dump()) == job


def test_a_file_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text('name = "a"\ndataset = "b"\n[privacy]\nmode = "record"\n')
    with pytest.raises(Exception, match=r"job\.toml.*evaluation\.every = 0"):
        load_job(tmp_path / "job.toml")


def test_promises_name_against_whom() -> None:
    assert "the coordinator included" in promise(job_with({**RECORD, "max_epsilon": 4}))
    assert "ε = 4, δ = 1e-05" in promise(job_with({**RECORD, "max_epsilon": 4}))
    assert "Nothing is claimed against the coordinator" in promise(job_with(CLIENT))


def test_nodes_count_the_same_where_something_is_claimed() -> None:
    assert job_with(RECORD).equal_weight == job_with(CLIENT).equal_weight == 1
    assert job_with(RECORD, aggregation={"mode": "secagg", "max_examples": 7}).equal_weight == 7


def test_few_nodes_are_no_crowd() -> None:
    with pytest.raises(BadRequestError, match="among hundreds"):
        check_population(job_with({**CLIENT, "nodes": 99}))
    check_population(job_with({**CLIENT, "nodes": 100}))
    check_population(job_with(RECORD))
