"""Takes training requests: fetches weights, has them trained, keeps the update, brings it to the coordinator.

A repeated request (job, round, base weights) is answered with the update that was stored: after a crash of either side
the round goes on with the same bits, and a node never says two things in one round.
"""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from frag.durable import write_private
from frag.errors import DatasetError, ForbiddenError, LedgerError, SecureSumError
from frag.protocols import FloatArray
from prompt_tuning.batches import reservoir
from prompt_tuning.dataset import Example, Objective, Split, split
from prompt_tuning.job import JobSettings
from prompt_tuning.private_training import by_unit
from server.node.datasets import Datasets
from server.node.training.arrivals import Arrivals
from server.node.training.contexts import join_passages, stored_examples
from server.node.training.forgetting import TrainingMemory
from server.node.training.job_folders import forget_old_jobs, stored, sweep
from server.node.training.lineage import remember
from server.node.training.orders import Done, JobExamples, Order, Step, StoredExample, example_of
from server.node.training.private_rounds import PrivateRounds
from server.node.training.process import TrainingProcess
from server.wire.messages import Progress, SumStage, Train, Trained

_log = structlog.get_logger()
Send = Callable[[Progress], None]


class Library(Protocol):
    """What examples are joined with: passages and vectors."""

    def look_up(self, question: str, number: int) -> list[str]: ...

    def embed(self, texts: Sequence[str]) -> FloatArray: ...

    def snapshot(self) -> str: ...


class Carrier(Protocol):
    """How weights come and updates go."""

    async def fetch(self, ticket: str, sha256: str, target: Path) -> None: ...

    async def bring(self, ticket: str, content: bytes) -> None: ...


class Sums(Protocol):
    """What takes part in secure sums."""

    async def carry_out(self, request: SumStage) -> bytes: ...


class TrainingDesk:
    """One training request at a time; the process ends with the desk."""

    def __init__(
        self,
        *,
        node_id: str,
        folder: Path,
        datasets: Datasets,
        library: Library,
        exchange: Carrier,
        process: TrainingProcess,
        sums: Sums | None = None,
        aggregation: Collection[str] = ("plain", "robust", "secagg"),
        private: PrivateRounds | None = None,
        only_private: bool = False,
        memory: TrainingMemory | None = None,
    ) -> None:
        self._node_id = node_id
        self._folder = folder.resolve()
        self._datasets = datasets
        self._library = library
        self._exchange = exchange
        self._process = process
        self._sums = sums
        self._aggregation = aggregation
        self._private = private
        self._only_private = only_private
        self._joining = memory.joining if memory else nullcontext
        self._turn = asyncio.Lock()
        self.on_standing_run: Callable[[], None] = lambda: None
        """Called when a run of a standing job has been trained here. Must be cheap."""

    def dataset_sizes(self) -> dict[str, int]:
        """Examples of each data set, for standing jobs; none where updates do not tell their number. Reads the disk."""
        if self._only_private or not {"plain", "robust"} & set(self._aggregation):
            return {}
        return self._datasets.sizes()

    def dataset_names(self) -> tuple[str, ...]:
        """What jobs can ask for. Reads the disk."""
        return tuple(self._datasets.usable())

    async def train(self, request: Train, on_progress: Send) -> Trained:
        """One round. Raises FragError; cancelling stops the training process."""
        job = JobSettings.model_validate_json(request.job)
        self._check_allowed(job)
        job_folder = self._folder / request.job_id
        await asyncio.to_thread(_check_same_job, job_folder, job)
        if _is_private(job) and not request.train:
            return Trained(request_id=request.request_id, num_examples=0, metrics={})  # nothing private is measured
        update = job_folder / f"update-{_name(request)}"
        async with self._turn:  # two requests for one round, or the second would draw it again
            done = await self._done(request, job, job_folder, update, on_progress)
        digest = ""
        if request.train and job.aggregation.mode == "secagg":
            # only the masked sum leaves: no number of examples, no metrics of this node
            return Trained(request_id=request.request_id, num_examples=0, metrics={})
        if request.train:
            content = await asyncio.to_thread(update.read_bytes)
            digest = hashlib.sha256(content).hexdigest()
            await self._exchange.bring(request.ticket, content)
        return Trained(
            request_id=request.request_id,
            num_examples=done.num_examples,
            metrics=done.metrics,
            update_sha256=digest,
        )

    async def _done(self, request: Train, job: JobSettings, folder: Path, update: Path, on_progress: Send) -> Done:
        """What a request ends in, from the disk where it was carried out before."""
        done_file = folder / f"done-{_name(request)}.json"
        done = stored(done_file, update) if request.train else None
        if done is None:
            done = await self._work(request, job, folder, update, on_progress)
            await asyncio.to_thread(write_private, done_file, msgspec.json.encode(done))
            if request.train and job.standing is not None:
                self.on_standing_run()
        if _is_private(job):
            await asyncio.to_thread(self._paid().forget_key, request, folder)
        return done

    def _check_allowed(self, job: JobSettings) -> None:
        """The node decides: a coordinator cannot have a hidden update sent in the open by asking for another mode."""
        if job.aggregation.mode not in self._aggregation:
            raise ForbiddenError(f"This node's updates are not put together in the mode {job.aggregation.mode}.")
        if self._only_private and not _is_private(job):
            raise ForbiddenError('This node trains with record-level privacy only ([privacy] mode = "record").')

    def _paid(self) -> PrivateRounds:
        if self._private is None:
            raise LedgerError("There is no ledger here that a private job could be charged to.")
        return self._private

    async def sum_stage(self, request: SumStage) -> bytes:
        """One stage of a secure sum. Raises SecureSumError."""
        if self._sums is None:
            raise SecureSumError("This node takes no part in secure sums.")
        return await self._sums.carry_out(request)

    async def _work(self, request: Train, job: JobSettings, job_folder: Path, update: Path, on_progress: Send) -> Done:
        weights = job_folder / f"weights-{request.weights_sha256[:16]}"
        await asyncio.to_thread(self._set_up, request, job_folder)
        if not await asyncio.to_thread(weights.is_file):
            await self._exchange.fetch(request.ticket, request.weights_sha256, weights)
        order = Order(
            job_folder=str(job_folder),
            node_id=self._node_id,
            round_num=request.round_num,
            base_model=request.base_model,
            weights=str(weights),
            update=str(update),
            evaluate=request.evaluate,
            train=request.train,
        )
        if _is_private(job):
            order = await asyncio.to_thread(self._private_order, order, request, job, job_folder)

        def on_step(step: Step) -> None:
            on_progress(
                Progress(request_id=request.request_id, step=step.step, num_steps=step.num_steps, loss=step.loss)
            )

        done = await self._process.carry_out(order, on_step)
        _log.info("round_trained", job=request.job_id, round=request.round_num, num_examples=done.num_examples)
        await asyncio.to_thread(sweep, job_folder, weights)
        return done

    def _private_order(self, order: Order, request: Train, job: JobSettings, job_folder: Path) -> Order:
        """The order with its key; the whole job is paid for when it returns."""
        examples = msgspec.msgpack.decode((job_folder / "examples.msgpack").read_bytes(), type=JobExamples)
        num_units = len(by_unit(map(example_of, examples.train), job.objective))
        plan = self._paid().reserve(request, job, job_folder, num_units)
        key = self._paid().key(request, job_folder)
        return msgspec.structs.replace(order, evaluate=False, key=key, num_units=plan.num_units)

    def _set_up(self, request: Train, job_folder: Path) -> None:
        """Joins examples with passages once a job, so that all its rounds train on the same."""
        target = job_folder / "examples.msgpack"
        if target.is_file() and (job_folder / "job.json").is_file():
            return
        with self._joining():
            self._join(JobSettings.model_validate_json(request.job), request.job, job_folder, target)

    def _join(self, job: JobSettings, written: str, job_folder: Path, target: Path) -> None:
        parts = split(fitting(self._datasets.load(job.dataset), job), always_trains=not _is_private(job))
        measured = () if _is_private(job) else parts.held_out or parts.validation
        look_up = self._library.look_up
        train, old_ids = self._divided(job, job_folder.name, parts)
        joined = JobExamples(
            train=self._stored(job, join_passages(train, job, look_up)),
            validation=self._stored(job, join_passages(parts.validation, job, look_up)),
            held_out=self._stored(job, join_passages(measured, job, look_up)),
            snapshot=self._library.snapshot(),
            old_ids=sorted(old_ids),
        )
        forget_old_jobs(self._folder, job_folder)
        write_private(job_folder / "job.json", written.encode())
        seen = [*joined.train, *joined.validation, *joined.held_out]
        remember(job_folder, (text for e in seen for text in (*e.passages, e.text, *e.answers, e.question)))
        write_private(target, msgspec.msgpack.encode(joined))

    def _divided(self, job: JobSettings, run: str, parts: Split) -> tuple[Sequence[Example], set[str]]:
        """What is trained on, and the ids of what an earlier run of a standing job has met."""
        if job.standing is None or not job.standing.series:
            return parts.train, set()
        every = (*parts.train, *parts.validation, *parts.held_out)
        old = Arrivals(self._folder).old(job.standing.series, run, [example.example_id for example in every])
        old_train = [example.example_id for example in parts.train if example.example_id in old]
        buffer = reservoir(old_train, job.standing.buffer_examples, job.seed) if job.standing.replay else set()
        return [e for e in parts.train if e.example_id not in old or e.example_id in buffer], old

    def _stored(self, job: JobSettings, examples: Sequence[Example]) -> list[StoredExample]:
        return stored_examples(job, examples, self._library.embed)

    async def forget_prepared(self) -> None:
        """Ends the training process, which holds examples in memory; a round under way fails and is asked for again."""
        await self._process.stop()

    async def close(self) -> None:
        """Ends the training process."""
        await self._process.stop()


def fitting(examples: Sequence[Example], job: JobSettings) -> list[Example]:
    """Those that the job's objective can be learnt from. Raises DatasetError when there is none."""
    found = [example for example in examples if example.fits(job.objective)]
    if not found:
        wanted = "plain text" if job.objective is Objective.CAUSAL_LM else "questions with answers"
        raise DatasetError(f"The data set {job.dataset} holds no {wanted}, which {job.objective} learns from.")
    return found


def _name(request: Train) -> str:
    return f"{request.round_num}-{request.weights_sha256[:16]}"


def _is_private(job: JobSettings) -> bool:
    return job.privacy.mode == "record"


def _check_same_job(job_folder: Path, job: JobSettings) -> None:
    """A job keeps its mode: what was trained to be summed in secret is not had in the open by asking again.

    What a budget was reserved for is not changed afterwards.
    """
    known = job_folder / "job.json"
    if not known.is_file():
        return
    before = JobSettings.model_validate_json(known.read_bytes())
    if before.aggregation.mode != job.aggregation.mode:
        raise ForbiddenError(
            f"This job began in the mode {before.aggregation.mode} and cannot go on in {job.aggregation.mode}."
        )
    if before != job and (_is_private(before) or _is_private(job)):
        raise ForbiddenError("This job began with other settings, and a private job keeps those that it is paid for.")
