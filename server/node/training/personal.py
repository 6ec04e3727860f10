"""The node's own form of the live prompt: made from its own examples after a promotion, and never sent anywhere.

Only one number is told of it: which part of the loss on held-out examples it saves.
"""

import asyncio
import hashlib
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import structlog

from frag.durable import write_private
from frag.errors import DatasetError, FragError, NotFoundError
from frag.training_settings import NodeTrainingSettings
from frag.types import Adaptation
from prompt_tuning.adaptation_file import load_adaptation
from prompt_tuning.dataset import Example, Objective, split
from prompt_tuning.job import JobSettings
from server.node.datasets import Datasets
from server.node.feedback.accepting import DATASET
from server.node.live_prompt import LivePrompt
from server.node.training.contexts import join_passages, stored_examples
from server.node.training.desk import Library
from server.node.training.forgetting import Forgotten, TrainingMemory
from server.node.training.lineage import remember
from server.node.training.orders import JobExamples, PersonalOrder
from server.node.training.process import TrainingProcess

SUFFIX = "+personal"
_KEPT = ("dataset", "objective", "seed", "context", "evaluation", "local")
"""Of the settings of the job that made what is shared."""
_log = structlog.get_logger()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was made for a version: the hash of what is shared, and what it gains here."""

    version: str
    shared_sha256: str
    gain: float


@dataclass(kw_only=True)
class PersonalDesk:
    """Follows promotions; one version at a time.

    Args:
        folder: Where the personal form of the live version is kept.
        training: Of the node's jobs: examples lie there while it is made, and deletions look there.
        settings: Steps, margin and how many examples there must be.
        datasets: Of the node.
        library: What questions are joined with.
        memory: What deletions look through.
        process: The training process, shared with the rounds of jobs.
        prompts: What is live.
        record: Writes down durably what is about to be told; raises FragError when it may not be.
    """

    folder: Path
    training: Path
    settings: NodeTrainingSettings
    datasets: Datasets
    library: Library
    memory: TrainingMemory
    process: TrainingProcess
    prompts: LivePrompt
    record: Callable[[str, float], Awaitable[None]]
    gain: float | None = None
    """Of the form that answers now; None while the shared one does."""
    _task: "asyncio.Task[None] | None" = field(default=None, repr=False)
    _renewal: "asyncio.Task[None] | None" = field(default=None, repr=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)

    def follow(self, version: str, shared: Path) -> None:
        """A version has gone live: from now on its own form is made, in the background. On the event loop."""
        self.gain, self._loop = None, asyncio.get_running_loop()
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._follow(version, shared)) if version else None

    def forgotten(self, forgotten: Forgotten) -> None:
        """Gives up what has seen deleted text, and makes it anew without that. On any thread; the files go at once."""
        version = self.prompts.version
        if self._loop is None or _job_name(version) not in forgotten.prompt_versions:
            return
        for file in (self._outcome, self._file):
            file.unlink(missing_ok=True)
        shutil.rmtree(self.training / _job_name(version), ignore_errors=True)
        self._loop.call_soon_threadsafe(self._begin_again)

    def _begin_again(self) -> None:
        self.gain = None
        self._renewal = asyncio.create_task(self._share_again())

    async def _share_again(self) -> None:
        try:
            await self.prompts.again()
        except (FragError, OSError) as error:
            _log.warning("prompt_not_shared_again", code=getattr(error, "code", type(error).__name__))

    async def close(self) -> None:
        """Gives up what is being made."""
        tasks = [task for task in (self._renewal, self._task) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, version: str, shared: Path) -> None:
        try:
            await self._adopt(version, shared)
        except FragError as error:
            _log.warning("prompt_not_personal", version=version, code=error.code)
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("prompt_not_personal", version=version, code=type(error).__name__)

    async def _adopt(self, version: str, shared: Path) -> None:
        outcome = await asyncio.to_thread(self._made, version, shared)
        if outcome is None:
            outcome = await self._make(version, shared)
        if outcome.gain <= 0 or outcome.gain < self.settings.personal_margin:
            _log.info("prompt_stays_shared", version=version)
            return
        personal = await asyncio.to_thread(self._read, version)
        if await self.prompts.adopt(version, personal):
            _log.info("prompt_personal", version=version)
            await self.record(version + SUFFIX, outcome.gain)
            self.gain = round(outcome.gain, 4)

    def _made(self, version: str, shared: Path) -> Outcome | None:
        """What was made for this version before."""
        try:
            known = msgspec.json.decode(self._outcome.read_bytes(), type=Outcome)
        except (OSError, msgspec.DecodeError):
            return None
        fits = (known.version, known.shared_sha256) == (version, _sha256(shared))
        return known if fits and self._file.is_file() else None

    async def _make(self, version: str, shared: Path) -> Outcome:
        job_folder = self.training / _job_name(version)
        order = await asyncio.to_thread(self._set_up, version, shared, job_folder)
        try:
            done = await self.process.carry_out(order, lambda _step: None)
        finally:
            await asyncio.to_thread((job_folder / "examples.msgpack").unlink, missing_ok=True)
        outcome = Outcome(
            version=version, shared_sha256=await asyncio.to_thread(_sha256, shared), gain=done.metrics.get("gain", 0.0)
        )
        await asyncio.to_thread(write_private, self._outcome, msgspec.json.encode(outcome))
        return outcome

    def _set_up(self, version: str, shared: Path, job_folder: Path) -> PersonalOrder:
        """Joins the node's own examples with passages, as for a job."""
        adaptation = load_adaptation(shared.read_bytes(), version)
        if adaptation.method == "template":
            raise NotFoundError("A written prompt has nothing to train on.")
        job = self._job(version, adaptation)
        with self.memory.joining():
            parts = split(self._examples(job))
            shares = {
                name: stored_examples(job, join_passages(part, job, self.library.look_up), self.library.embed)
                for name, part in (
                    ("train", parts.train),
                    ("validation", parts.validation),
                    ("held_out", parts.held_out),
                )
            }
            stored = JobExamples(
                snapshot=self.library.snapshot(),
                train=shares["train"],
                validation=shares["validation"],
                held_out=shares["held_out"],
            )
            write_private(job_folder / "job.json", job.model_dump_json().encode())
            seen = [example for share in shares.values() for example in share]
            remember(job_folder, (text for e in seen for text in (*e.passages, e.text, *e.answers, e.question)))
            write_private(job_folder / "examples.msgpack", msgspec.msgpack.encode(stored))
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return PersonalOrder(
            job_folder=str(job_folder.resolve()), shared=str(shared.resolve()), personal=str(self._file.resolve())
        )

    def _job(self, version: str, adaptation: Adaptation) -> JobSettings:
        """The job that made the version where this node took part in it, else one like it; with fewer steps."""
        known: dict[str, Any] = {}
        with suppress(OSError, msgspec.DecodeError):
            before = msgspec.json.decode((self.training / version / "job.json").read_bytes(), type=dict[str, Any])
            known = {name: before[name] for name in _KEPT}
        steps = self.settings.personal_steps
        return JobSettings.model_validate(
            {
                "name": "personal",
                "dataset": DATASET,
                **known,
                "instruction": adaptation.template.instruction,
                "method": {"kind": adaptation.method, **adaptation.settings, "place": adaptation.place.value},
                "local": {
                    **known.get("local", {}),
                    "steps": steps,
                    "warmup_steps": max(1, steps // 10),
                    "validate_every": max(1, steps // 4),
                },
            }
        )

    def _examples(self, job: JobSettings) -> list[Example]:
        """Those of the job's data set and of feedback; of all data sets where the job is not known here.

        Raises:
            NotFoundError: There are too few.
        """
        names = {job.dataset, DATASET} if job.dataset != DATASET else set(self.datasets.usable())
        found: dict[str, Example] = {}
        for name in sorted(names):
            with suppress(DatasetError, NotFoundError):
                found |= {e.example_id: e for e in self.datasets.load(name) if e.fits(Objective(job.objective))}
        if len(found) < self.settings.personal_min_examples:
            raise NotFoundError("This node has too few examples for a prompt of its own.")
        return list(found.values())

    def _read(self, version: str) -> Adaptation:
        return replace(load_adaptation(self._file.read_bytes()), version=version + SUFFIX)

    @property
    def _file(self) -> Path:
        return self.folder / "live.safetensors"

    @property
    def _outcome(self) -> Path:
        return self.folder / "live.json"


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _job_name(version: str) -> str:
    return f"personal-{version}"
