"""One job from its first weights to its version in the registry, whichever way its rounds are played."""

import asyncio
import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from frag.quantization import decode
from frag.settings import ModelSettings
from frag.types import Adaptation
from frag.updates import Weights
from prompt_tuning.job import JobSettings
from prompt_tuning.spending import published_claim
from prompt_tuning.strategies import ServerState, make_strategy
from server.coordinator.blobs import Blobs
from server.coordinator.links import Registry
from server.coordinator.standing.measuring import measured
from server.coordinator.tables import JobRow
from server.coordinator.training.buffered import BufferedRun
from server.coordinator.training.choosing import TemplateRun, best_of
from server.coordinator.training.commits import Commits
from server.coordinator.training.exchange import Exchange
from server.coordinator.training.participants import Emit, Participants
from server.coordinator.training.public_phase import PublicData
from server.coordinator.training.records import RoundRecord, TrainingRecords
from server.coordinator.training.rounds import SynchronousRun
from server.coordinator.training.secure_rounds import SecureRun
from server.coordinator.training.start import JobStart, StartInfo, make_start
from server.coordinator.training.versions import Versions


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRunner:
    """What jobs need, and how one is run."""

    records: TrainingRecords
    blobs: Blobs
    registry: Registry
    exchange: Exchange
    versions: Versions
    models: ModelSettings
    public: PublicData

    async def run(self, job_id: str, emit: Emit) -> str:
        """Trains to the last round and returns the new version. May be cancelled, and called again.

        Raises:
            FragError: Why the job failed.
        """
        row = await self.records.job(job_id)
        job = JobSettings.model_validate_json(row.settings)
        info = await self._begun(job, row, emit)
        participants = Participants(
            job_id=job_id,
            job=job,
            base_model=info.base_model,
            registry=self.registry,
            exchange=self.exchange,
            emit=emit,
        )
        stands = job.standing is not None
        commits = Commits(job_id=job_id, records=self.records, blobs=self.blobs, keeps_start=stands)
        state = await self._run_of(participants, commits).run()
        if job.method.kind == "template":
            rounds = await self.records.rounds(job_id)
            best = best_of(rounds)
            return await self._publish(job_id, job.with_candidate(best), info, state, rounds[best + 1].metrics)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(job.rounds.rejoin_s):
                await participants.available()  # after a restart nodes are on their way back
        metrics = await participants.evaluate(state)
        if stands:
            metrics |= await measured(participants, await commits.first(), state)
        return await self._publish(job_id, job, info, state, metrics)

    def _run_of(self, participants: Participants, commits: Commits) -> SynchronousRun | BufferedRun | TemplateRun:
        job = participants.job
        if job.method.kind == "template":
            return TemplateRun(participants, commits)
        if job.strategy.kind == "fedbuff":
            return BufferedRun(participants, commits)
        phase = self.public.phase(participants.job_id, job, participants.base_model, participants.emit)
        kind = SecureRun if job.aggregation.mode == "secagg" else SynchronousRun
        return kind(participants, commits, phase)

    async def _begun(self, job: JobSettings, row: JobRow, emit: Emit) -> StartInfo:
        """Fingerprints that the job is for; makes and commits its first weights when there are none."""
        if row.base_model:
            return StartInfo(base_model=row.base_model, layout=row.layout, embedder=row.embedder)
        emit("starting", {})
        info, weights = await (self._from_version(row.start_version) if row.start_version else self._fresh(job))
        state = make_strategy(job.strategy).init(weights)
        digest = await asyncio.to_thread(self.blobs.put, state.to_bytes())
        await self.records.begin(row.job_id, info, RoundRecord(round_num=0, state_sha256=digest))
        return info

    async def _fresh(self, job: JobSettings) -> tuple[StartInfo, Weights]:
        start: JobStart = await make_start(job, self.models)
        return start.info, await asyncio.to_thread(_own, start.weights)

    async def _from_version(self, version: str) -> tuple[StartInfo, Weights]:
        live = await self.versions.adaptation(version)
        info = StartInfo(base_model=live.base_model, layout=live.layout, embedder=live.embedder)
        return info, dict(live.tensors)

    async def _publish(
        self, job_id: str, job: JobSettings, info: StartInfo, state: ServerState, metrics: Mapping[str, float]
    ) -> str:
        settings = job.method.model_dump(mode="json", exclude={"kind", "place", "candidates"})
        claim = await asyncio.to_thread(published_claim, job, state.round_num)
        adaptation = Adaptation(
            method=job.method.kind,
            settings=settings,
            place=job.method.place,
            tensors=state.weights,
            template=job.template,
            base_model=info.base_model,
            layout=info.layout,
            embedder=info.embedder,
            epsilon=claim.get("epsilon", math.inf),
            delta=claim.get("delta", 0.0),
        )
        return await self.versions.add(adaptation, version=job_id, job_id=job_id, metrics={**metrics, **claim})


def _own(content: bytes) -> "dict[str, Any]":
    """Weights from our own process, whose names and shapes define the job."""
    from safetensors.numpy import load

    loaded: dict[str, Any] = load(content)
    return dict(decode(content, loaded))
