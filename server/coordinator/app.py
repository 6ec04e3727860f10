"""The one application factory, used by production and tests alike; every resource is opened and closed here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial

from aiohttp import web

from frag.answers import METHODS, make_aggregator
from frag.policy_settings import CollectionSettings, PolicySettings
from frag.protocols import Aggregator, TextListener
from frag.settings import NO_LANGUAGE_MODEL, CoordinatorSettings
from frag.types import AnswerMode, Generation, GenerationRequest, RetrievalMode
from server.console.pages import console_routes
from server.coordinator.answer_views import QueryResponse
from server.coordinator.auth import Gate
from server.coordinator.blobs import Blobs
from server.coordinator.bodies import MAX_BODY_BYTES
from server.coordinator.consenting import Consenting
from server.coordinator.contributors import Contributors
from server.coordinator.database import open_database
from server.coordinator.embedding import LazyEmbedder
from server.coordinator.enrollment import PUBLIC_NODE_ID, Enrollment
from server.coordinator.feedback import FeedbackService
from server.coordinator.folder import CoordinatorFolder, accepted_spki
from server.coordinator.inspection import inspection_routes
from server.coordinator.keyword_query import KeywordService
from server.coordinator.lexicon import Lexicon
from server.coordinator.links import Registry
from server.coordinator.openai.errors import openai_errors
from server.coordinator.openai.routes import openai_routes
from server.coordinator.openapi.routes import describe, openapi_routes
from server.coordinator.public_corpus import LocalLink
from server.coordinator.query import Emit, QueryRequest, QueryService
from server.coordinator.routes import routes
from server.coordinator.routing import Router
from server.coordinator.standing.records import StandingRecords
from server.coordinator.standing.service import StandingService
from server.coordinator.state import STATE, CoordinatorState
from server.coordinator.training.exchange import Exchange
from server.coordinator.training.jobs import JobService
from server.coordinator.training.public_phase import PublicData
from server.coordinator.training.records import TrainingRecords
from server.coordinator.training.routes import training_routes
from server.coordinator.training.runner import JobRunner
from server.coordinator.training.versions import Versions
from server.coordinator.writer import LazyWriter
from server.node.inference import InferenceWorker
from server.problems import problems
from server.questions import QuestionScrubber
from server.request_ids import request_ids
from server.sealed.relay import sealed_routes
from server.telemetry.coordinator import CoordinatorWatch
from server.telemetry.tracing import Tracing, open_tracing


def make_app(folder: CoordinatorFolder) -> web.Application:
    """The coordinator over `folder`. Raises SettingsError at once when the settings are wrong."""
    settings = folder.settings()
    app = web.Application(middlewares=[request_ids, openai_errors, problems], client_max_size=MAX_BODY_BYTES)
    app.add_routes(routes)
    app.add_routes(training_routes)
    app.add_routes(sealed_routes)
    app.add_routes(openai_routes)
    app.add_routes(openapi_routes)
    app.add_routes(inspection_routes)
    app.add_routes(console_routes())
    app.on_startup.append(describe)
    app.cleanup_ctx.append(lambda app: _resources(app, folder, settings))
    app.on_shutdown.append(_close_connections)
    return app


async def _resources(
    app: web.Application, folder: CoordinatorFolder, settings: CoordinatorSettings
) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(folder.database_url(settings)))
        registry = Registry()
        registry.enrolled.update(await database.node_ids())
        watch = CoordinatorWatch(await _open_tracing(stack, settings))
        watch.follow(registry)
        writer = await stack.enter_async_context(LazyWriter(settings.models))
        own = await _open_public_corpus(stack, folder, settings, registry, writer)
        key, spki = folder.key(), accepted_spki(settings)
        exchange = Exchange()
        records, blobs = TrainingRecords(database), Blobs(folder.blobs)
        versions = Versions(records, blobs, registry, exchange, own)
        await versions.restore()
        embedder = LazyEmbedder(settings.models)
        public = PublicData(folder=folder, models=settings.models)
        runner = JobRunner(
            records=records,
            blobs=blobs,
            registry=registry,
            exchange=exchange,
            versions=versions,
            models=settings.models,
            public=public,
        )
        jobs = await stack.enter_async_context(JobService(records, runner, public, watch.on_job_event))
        standing = StandingService(StandingRecords(database), records, jobs, versions, registry)
        await stack.enter_async_context(standing)
        app[STATE] = CoordinatorState(
            settings=settings,
            key=key,
            accepted_spki=spki,
            database=database,
            registry=registry,
            gate=Gate(database, settings.queries_per_minute),
            enrollment=Enrollment(database, registry, key, spki),
            query=QueryService(
                registry=registry,
                aggregators=_aggregators(writer),
                default_aggregation=settings.default_aggregation,
                default_deadline_s=settings.default_deadline_s,
                default_retrieval=RetrievalMode.DENSE,
                consenting=Consenting(embedder, database.operators),
                answer_modes=settings.answer_modes,
                router=Router(embedder),
                scrubber=QuestionScrubber(settings.questions.scrub, settings.models.ner),
                watch=watch,
                expect_writer=writer.expect,
                by_keywords=await _by_keywords(stack, folder, settings, registry, records, writer),
            ),
            jobs=jobs,
            standing=standing,
            versions=versions,
            exchange=exchange,
            watch=watch,
            log_key=folder.secret("log"),
            feedback=FeedbackService(
                registry=registry,
                identities=records.identities,
                contributors=Contributors(),
                key=key,
                secret=folder.secret("log"),
            ),
        )
        yield


async def _open_tracing(stack: AsyncExitStack, settings: CoordinatorSettings) -> Tracing:
    tracing = open_tracing(settings.telemetry.otlp_endpoint, "frag-coordinator", "coordinator")
    opened = await asyncio.to_thread(tracing.__enter__)
    stack.push_async_callback(asyncio.to_thread, tracing.__exit__, None, None, None)
    return opened


async def _open_public_corpus(
    stack: AsyncExitStack,
    folder: CoordinatorFolder,
    settings: CoordinatorSettings,
    registry: Registry,
    writer: LazyWriter,
) -> InferenceWorker | None:
    """Indexes the public documents and lets them answer as one more node. Returns who writes its answers."""
    if settings.public_corpus is None:
        return None
    from server.node.assembly import load_named, open_answering
    from server.node.reembedding import Reembedding

    worker = await writer.worker()
    answering = await stack.enter_async_context(
        open_answering(
            node_id=PUBLIC_NODE_ID,
            models=settings.models,
            policy=PolicySettings(answer_modes=tuple(mode for mode in AnswerMode if mode is not AnswerMode.DP)),
            collections=(CollectionSettings(name="public", folder=settings.public_corpus),),
            index_folder=folder.public_index,
            alias_key=folder.secret("alias"),
            worker=worker,
        )
    )
    await asyncio.to_thread(answering.ingest, {"public": settings.public_corpus})
    reembedding = Reembedding(
        folder.public_index,
        settings.models.embedder,
        answering.indices,
        partial(load_named, settings.models),
        share=settings.models.reembed_share,
    )
    await stack.enter_async_context(reembedding.running())
    await registry.attach(await asyncio.to_thread(LocalLink, PUBLIC_NODE_ID, answering))
    return worker


async def _by_keywords(
    stack: AsyncExitStack,
    folder: CoordinatorFolder,
    settings: CoordinatorSettings,
    registry: Registry,
    records: TrainingRecords,
    writer: LazyWriter,
) -> Callable[[QueryRequest, Emit], Awaitable[QueryResponse]]:
    async def write(request: GenerationRequest) -> Generation:
        return await (await writer.worker()).generate(request)

    service = KeywordService(
        registry=registry,
        identities=records.identities,
        lexicon=await stack.enter_async_context(Lexicon(settings.models, folder.lexicon)),
        write=None if settings.models.language_model == NO_LANGUAGE_MODEL else write,
        default_deadline_s=settings.default_deadline_s,
    )
    return service.answer


def _aggregators(writer: LazyWriter) -> Mapping[str, Aggregator]:
    async def write(request: GenerationRequest) -> Generation:
        return await (await writer.worker()).generate(request)

    async def write_aloud(request: GenerationRequest, listener: TextListener) -> Generation:
        return await (await writer.worker()).generate(request, listener)

    return {method: make_aggregator(method, write=write, write_aloud=write_aloud) for method in METHODS}


async def _close_connections(app: web.Application) -> None:
    await app[STATE].registry.close()
