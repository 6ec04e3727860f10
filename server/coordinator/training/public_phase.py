"""The public-data phase of a job, on the coordinator's own examples, in a training process at low priority.

A pass is carried out as by a node: its result is kept by round and weights, so a restart comes to the same bits.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from frag.durable import write_private
from frag.errors import BadRequestError
from frag.protocols import FloatArray
from frag.quantization import decode, encode
from frag.settings import ModelSettings
from prompt_tuning.job import JobSettings
from prompt_tuning.public_phase import PublicPasses, moved, pass_name, public_job
from prompt_tuning.strategies import ServerState
from server.coordinator.folder import CoordinatorFolder
from server.coordinator.training.participants import Emit
from server.node.datasets import Datasets
from server.node.training.desk import TrainingDesk
from server.node.training.process import TrainingProcess
from server.wire.messages import Progress, Train

_HERE = "here"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicData:
    """The coordinator's own examples, and what trains on them."""

    folder: CoordinatorFolder
    models: ModelSettings

    async def check(self, job: JobSettings) -> None:
        """Raises BadRequestError when the job asks for public examples that are not here."""
        if job.public is None:
            return
        names = await asyncio.to_thread(Datasets(self.folder.datasets).usable)
        if job.public.dataset not in names:
            raise BadRequestError(
                f"The coordinator holds no data set {job.public.dataset!r}.",
                "Add it there with `frag dataset add NAME FILE --folder COORDINATOR`, or leave out [public].",
            )

    def phase(self, job_id: str, job: JobSettings, base_model: str, emit: Emit) -> "PublicPhase | None":
        """The phase of one job; None where it has none."""
        if job.public is None:
            return None
        return PublicPhase(job_id=job_id, job=job, base_model=base_model, data=self, emit=emit)


@dataclass(slots=True, kw_only=True)
class PublicPhase:
    """`await optimise(state)` before each round; `close` at the end of the job."""

    job_id: str
    job: JobSettings
    base_model: str
    data: PublicData
    emit: Emit
    _process: TrainingProcess | None = None

    async def optimise(self, state: ServerState) -> PublicPasses:
        """Central passes while the public held-out loss improves.

        Raises:
            TrainerFailedError: The training process failed.
        """
        settings = self.job.public
        if settings is None:
            raise ValueError("the job has no public phase")
        passes = PublicPasses(settings, state, (await self._ask(state, 0, train=False))[0])
        while passes.goes_on:
            _, trained = await self._ask(passes.state, passes.num_passes, train=True)
            loss, _ = await self._ask(trained, passes.num_passes + 1, train=False)
            passes.offer(trained, loss)
            self.emit("public_pass", {"round": state.round_num, "passes": passes.num_passes, "loss": round(loss, 4)})
        return passes

    async def _ask(self, state: ServerState, num_passes: int, *, train: bool) -> tuple[float, ServerState]:
        """The public held-out loss of the weights, and the weights after a pass."""
        content = await asyncio.to_thread(encode, state.weights)
        carrier = _InMemory(content)
        request = Train(
            request_id=0,
            job_id=self.job_id,
            round_num=state.round_num,
            job=public_job(self.job).model_dump_json(),
            base_model=self.base_model,
            weights_sha256=hashlib.sha256(content).hexdigest(),
            ticket=_HERE,
            evaluate=not train,
            train=train,
        )
        done = await self._desk(pass_name(num_passes), carrier).train(request, self._show)
        if not train:
            return done.metrics["held_out_loss"], state
        delta = await asyncio.to_thread(decode, carrier.brought, state.weights)
        return 0.0, moved(state, delta)

    def _desk(self, node_id: str, carrier: "_InMemory") -> TrainingDesk:
        folder, models = self.data.folder, self.data.models
        folder.training.mkdir(parents=True, exist_ok=True)
        if self._process is None:
            log = str(folder.training / "trainer.log")
            self._process = TrainingProcess(models.language_model, models.training_threads, log)
        return TrainingDesk(
            node_id=node_id,
            folder=folder.training,
            datasets=Datasets(folder.datasets),
            library=_NoLibrary(models),
            exchange=carrier,
            process=self._process,
        )

    def _show(self, progress: Progress) -> None:
        self.emit("progress", {"node": "public", "step": progress.step, "num_steps": progress.num_steps,
                               "loss": round(progress.loss, 4)})  # fmt: skip

    async def close(self) -> None:
        """Ends the training process."""
        if self._process is not None:
            await self._process.stop()


@dataclass(slots=True)
class _InMemory:
    """Carries weights within this process."""

    content: bytes = field(repr=False)
    brought: bytes = field(default=b"", repr=False)

    async def fetch(self, ticket: str, sha256: str, target: Path) -> None:
        del ticket, sha256
        await asyncio.to_thread(write_private, target, self.content)

    async def bring(self, ticket: str, content: bytes) -> None:
        del ticket
        self.brought = content


@dataclass(frozen=True, slots=True)
class _NoLibrary:
    """Public examples come with their passages; only their vectors are computed."""

    models: ModelSettings

    def look_up(self, question: str, number: int) -> list[str]:
        del question, number
        return []

    def embed(self, texts: Sequence[str]) -> FloatArray:
        from server.node.assembly import load_embedder

        return load_embedder(self.models).embed(texts)

    def snapshot(self) -> str:
        return ""
