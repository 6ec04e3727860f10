"""Written prompts chosen by federated validation: every node measures, the mean decides, the best is a version."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from frag.types import Template
from prompt_tuning.adaptation_file import load_adaptation
from prompt_tuning.job import JobSettings
from server.coordinator.training import runner as runner_module
from server.coordinator.training.start import JobStart, StartInfo
from server.wire.messages import Progress, Train, Trained
from tests.server.coordinator.scripted_training import JOB, ScriptedTrainer, federation, honest, join, run
from tests.server.in_process import InProcessFederation

__all__ = ["federation"]

CANDIDATES = [
    {"name": "plain"},
    {"name": "terse", "instruction": "Be brief.", "examples": [["Tea is hot.", "What is tea?", "hot"]]},
    {"name": "long", "instruction": "Explain at length."},
]
CHOICE: Mapping[str, Any] = {
    "method": {"kind": "template", "candidates": CANDIDATES},
    "rounds": {"min_replies": 2, "deadline_s": 3},
}


class Measuring(ScriptedTrainer):
    """Measures each candidate by its name, and trains nothing."""

    def __init__(self, url: str, scores: Mapping[str, float]) -> None:
        super().__init__(url, honest(0.0))
        self.scores = scores
        self.job_ids: set[str] = set()

    async def train(self, request: Train, on_progress: Callable[[Progress], None]) -> Trained:
        assert not request.train
        self.job_ids.add(request.job_id)
        (candidate,) = msgspec.json.decode(request.job)["method"]["candidates"]
        return Trained(
            request_id=request.request_id, num_examples=0, metrics={"held_out_f1": self.scores[candidate["name"]]}
        )


@pytest.fixture
def without_weights(monkeypatch: pytest.MonkeyPatch, federation: InProcessFederation) -> None:
    del federation  # its own start is replaced

    async def make_start(*_: object) -> JobStart:
        from frag.quantization import encode

        return JobStart(info=StartInfo(base_model="0" * 64, layout="1" * 64, embedder=""), weights=encode({}))

    monkeypatch.setattr(runner_module, "make_start", make_start)


@pytest.mark.usefixtures("without_weights")
async def test_the_best_candidate_on_the_mean_of_the_nodes_is_published(federation: InProcessFederation) -> None:
    a = Measuring(federation.url, {"plain": 0.5, "terse": 0.1, "long": 0.0})
    await join(federation, "a", a)
    await join(federation, "b", Measuring(federation.url, {"plain": 0.1, "terse": 0.7, "long": 0.0}))
    job = await run(federation, CHOICE)
    assert job["state"] == "done", job
    assert [played["metrics"]["held_out_f1"] for played in job["rounds"]] == pytest.approx([0.3, 0.4, 0.0])
    assert job["num_rounds"] == 3
    assert len(a.job_ids) == 3
    (version,) = job["versions"]
    _, shown = await federation.get(f"/v1/prompts/{version}")
    assert (shown["method"], shown["metrics"]["held_out_f1"]) == ("template", pytest.approx(0.4))
    kept = load_adaptation(federation.state.versions._blobs.get(shown["sha256"]))
    assert kept.template == Template(instruction="Be brief.", examples=(("Tea is hot.", "What is tea?", "hot"),))


def test_without_candidates_the_built_in_ones_compete() -> None:
    job = JobSettings.model_validate({**JOB, "method": {"kind": "template"}})
    assert job.num_rounds >= 5
    names = [candidate.name for candidate in job.method.candidates]  # type: ignore[union-attr]
    assert {"default", "few_shot"} <= set(names)
    assert job.with_candidate(1).template == job.method.candidates[1].template  # type: ignore[union-attr]
