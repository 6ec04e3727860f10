"""`frag simulate` and `frag dataset` as their users meet them, on a tiny model."""

import contextlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from frag.errors import BadRequestError, FragError
from frag.quantization import Encoding
from prompt_tuning.adaptation_file import load_adaptation
from server.benchmark.rounds import measure_rounds
from server.cli import app
from tests.tiny_model import write_tiny_model

JOB = """
name = "keys"
dataset = "qa"
[method]
kind = "{kind}"
[local]
steps = 2
batch_size = 4
[rounds]
number = 3
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rows = [{"question": f"Who keeps key {n}?", "answer": f"porter {n}"} for n in range(40)]
    (tmp_path / "qa.jsonl").write_text("\n".join(map(json.dumps, rows)))
    write_tiny_model(tmp_path / "model")
    return tmp_path


def simulate(place: Path, kind: str, *options: str) -> dict[str, object]:
    (place / "job.toml").write_text(JOB.format(kind=kind))
    arguments = [
        "simulate",
        str(place / "job.toml"),
        "--data",
        str(place / "qa.jsonl"),
        "--model",
        str(place / "model"),
    ]
    result = CliRunner().invoke(app, [*arguments, "--nodes", "4", "--threads", "1", "--json", *options])
    if result.exception is not None:
        raise result.exception
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_a_job_is_played_twice_to_the_same_bytes(place: Path) -> None:
    first = simulate(place, "lora", "--out", str(place / "one.safetensors"))
    simulate(place, "lora", "--out", str(place / "two.safetensors"))
    assert len(first["losses"]) == 3  # type: ignore[arg-type]
    assert (place / "one.safetensors").read_bytes() == (place / "two.safetensors").read_bytes()
    assert load_adaptation((place / "one.safetensors").read_bytes()).method == "lora"


@pytest.mark.parametrize("kind", ["prompt", "p_tuning", "deep", "full"])
def test_every_method_runs_a_job(place: Path, kind: str) -> None:
    assert simulate(place, kind)["num_bytes"]


def test_too_many_nodes_are_refused(place: Path) -> None:
    with pytest.raises(BadRequestError, match="dealt"):
        simulate(place, "lora", "--nodes", "400")


def test_a_job_that_does_not_fit_names_the_place(place: Path) -> None:
    with pytest.raises(FragError, match="method"):
        simulate(place, "magic")


def test_a_round_of_a_thousand_nodes_streams() -> None:
    report = measure_rounds(1000, (20, 576), Encoding.FP32)
    assert report.nodes == 1000
    assert report.growth_mib < 16


def test_pre_training_on_plain_text_lowers_the_held_out_loss(place: Path) -> None:
    rows = [{"text": f"Porter {n} keeps key {n} of the house by the river.", "group": str(n)} for n in range(60)]
    (place / "qa.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (place / "job.toml").write_text(
        'name = "text"\ndataset = "qa"\nobjective = "causal_lm"\n[method]\nkind = "full"\n'
        "[local]\nsteps = 10\nlearning_rate = 1e-2\nbatch_size = 8\nwarmup_steps = 1\n[rounds]\nnumber = 3\n"
    )
    arguments = ["simulate", "job.toml", "--data", "qa.jsonl", "--model", "model", "--nodes", "3", "--threads", "1"]
    with contextlib.chdir(place):
        first, last = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)["held_out_losses"]
        assert last < first - 0.5
        assert "perplexity" in CliRunner().invoke(app, arguments).stdout


PRIVATE = """
[evaluation]
every = 0
[privacy]
mode = "{mode}"
"""


def simulate_private(place: Path, mode: str, more: str, *options: str) -> tuple[dict[str, object], str]:
    text = JOB.format(kind="prompt") + PRIVATE.format(mode=mode) + more
    (place / "job.toml").write_text(text)
    arguments = ["simulate", "job.toml", "--data", "qa.jsonl", "--model", "model", "--threads", "1", *options]
    with contextlib.chdir(place):
        result = CliRunner().invoke(app, [*arguments, "--json"])
        if result.exception is not None:
            raise result.exception
        return json.loads(result.stdout), CliRunner().invoke(app, arguments).stdout


def test_record_level_training_tells_its_epsilon_and_nothing_else(place: Path) -> None:
    options = ("--nodes", "2", "--out", "one.safetensors")
    found, shown = simulate_private(place, "record", "noise_multiplier = 2.0\n", *options)
    assert found["losses"] == [None] * 3
    spent = found["privacy"]
    assert isinstance(spent, dict)
    adaptation = load_adaptation((place / "one.safetensors").read_bytes())
    assert 0 < spent["epsilon"] == adaptation.epsilon < 8
    assert adaptation.delta == spent["delta"] == 1e-5
    assert f"ε = {spent['epsilon']:.4f} at δ = 1e-05" in shown
    assert "the coordinator included" in shown


def test_private_training_never_repeats_itself(place: Path) -> None:
    for name in ("one", "two"):
        simulate_private(place, "record", "noise_multiplier = 2.0\n", "--nodes", "2", "--out", name)
    assert (place / "one").read_bytes() != (place / "two").read_bytes()


def test_a_plan_over_the_budget_is_not_simulated(place: Path) -> None:
    with pytest.raises(FragError, match=r"the job allows 0\.5"):
        simulate_private(place, "record", "max_epsilon = 0.5\n", "--nodes", "2")


def test_client_level_training_stops_at_its_budget(place: Path) -> None:
    more = "nodes = 40\nnoise_multiplier = 3.0\nmax_epsilon = 1.95\n"
    found, shown = simulate_private(place, "client", more, "--nodes", "20")
    spent = found["privacy"]
    assert isinstance(spent, dict)
    assert spent["rounds"] == len(found["losses"]) < 3  # type: ignore[arg-type]
    assert spent["epsilon"] <= 1.95
    assert "over the budget" in shown
    assert "Nothing is claimed against the coordinator" in shown
