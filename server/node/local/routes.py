"""The requests of the node's operator."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
from aiohttp import web

from frag.errors import BadRequestError, NotFoundError, NotReadyError, PayloadTooLargeError
from frag.settings import NodeSettings
from frag.types import AnswerMode, RetrievalMode
from retrievers.documents import DEFAULT_MAX_FILE_BYTES
from server.coordinator.bodies import json_body, json_response
from server.node.answering import NodeAnswering
from server.node.feedback.desk import FeedbackDesk
from server.node.gate import Gate
from server.node.leaving import Tally
from server.node.live_prompt import LivePrompt
from server.node.local.document_views import Deleted, Listed
from server.node.local.documents import Shelf
from server.node.local.receiving import received
from server.node.local.watching import FolderWatcher
from server.node.operating import compact_coming
from server.node.preview import preview
from server.node.state import NodeFolder
from server.node.status import Live, describe_live
from server.node.switch import MAX_REASON_CHARS
from server.node.training.desk import TrainingDesk
from server.node.training.forgetting import Forgotten
from server.wire.messages import Ask, Question

routes = web.RouteTableDef()
_PAGE = Path(__file__).parent / "page"
_MAX_LISTED = 1000
_NUM_LOCKS = 64


@dataclass(kw_only=True)
class LocalState:
    """The node's parts that its operator sees and changes. Work on indices runs in `adding` and `deleting`, so that a
    deletion never waits for an embedding, and neither for a question."""

    folder: NodeFolder
    settings: NodeSettings
    answering: NodeAnswering
    gate: Gate
    shelves: Mapping[str, Shelf]
    watchers: Mapping[str, FolderWatcher]
    tally: Tally
    adding: Executor
    deleting: Executor
    trains: TrainingDesk | None = None
    prompts: LivePrompt | None = None
    order_embedder: Callable[[str], None] | None = None
    feedback: FeedbackDesk | None = None
    connected: bool = False
    _locks: list[asyncio.Lock] = field(default_factory=lambda: [asyncio.Lock() for _ in range(_NUM_LOCKS)])
    _ending: set["asyncio.Task[None]"] = field(default_factory=set)

    def shelf(self, collection: str) -> Shelf:
        """Raises NotFoundError."""
        if collection not in self.shelves:
            raise NotFoundError("There is no such collection.", f"There are: {', '.join(self.shelves) or 'none'}.")
        return self.shelves[collection]

    def turn(self, collection: str, document_id: str) -> asyncio.Lock:
        """Held while one document is changed; now and then two documents share one."""
        return self._locks[hash((collection, document_id)) % _NUM_LOCKS]

    async def end_prepared(self, forgotten: Forgotten) -> None:
        """What a training process holds in memory of forgotten examples goes with it."""
        if forgotten.jobs and self.trains is not None:
            await self.trains.forget_prepared()

    def note_forgotten(self, forgotten: Forgotten) -> None:
        """The same, for those who cannot wait."""
        task = asyncio.get_running_loop().create_task(self.end_prepared(forgotten))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


STATE = web.AppKey("state", LocalState)


class DryRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /dry-run`."""

    question: Question
    answer_mode: AnswerMode = AnswerMode.SCRUB
    top_k: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    retrieval: RetrievalMode = RetrievalMode.DENSE
    retrieve_only: bool = False

    def __repr__(self) -> str:
        return f"DryRun({len(self.question)} chars)"


class Stop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /release/stop`."""

    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON_CHARS)] = ""


class Reembed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /reembed`."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


@routes.get("/")
async def page(_request: web.Request) -> web.FileResponse:
    """The page; it asks for the token itself."""
    return web.FileResponse(_PAGE / "index.html")


@routes.get("/app.js")
async def script(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(_PAGE / "app.js")


@routes.get("/app.css")
async def style(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(_PAGE / "app.css")


@routes.get("/status")
async def status(request: web.Request) -> web.Response:
    """What is indexed, what left today, whether release is stopped, the policy in words."""
    state = request.app[STATE]
    live = Live(
        connected=state.connected,
        watched={name: watcher.state for name, watcher in state.watchers.items()},
        chunks=await asyncio.to_thread(
            lambda: {name: shelf.store.count_chunks() for name, shelf in state.shelves.items()}
        ),
        prompt_version=state.prompts.version if state.prompts else "",
    )
    described = await asyncio.to_thread(lambda: describe_live(state.folder, state.settings, state.tally.today(), live))
    return json_response(described)


@routes.get("/journal")
async def journal(request: web.Request) -> web.Response:
    """The newest entries of the release journal, and whether its chain holds."""
    limit = _number(request, "limit", 100)
    kept = request.app[STATE].gate.journal
    newest, verdict = await asyncio.to_thread(lambda: (kept.newest(limit), kept.verify()))
    return json_response({"verdict": verdict, "entries": newest})


@routes.get("/documents")
async def documents(request: web.Request) -> web.Response:
    """Documents by collection and ascending id; `after` and `limit` turn pages."""
    state = request.app[STATE]
    limit, after = _number(request, "limit", 100), request.query.get("after", "")
    name = request.query.get("collection", "")
    if after and not name:
        raise BadRequestError("`after` needs a collection.", "Add &collection=NAME.")
    wanted = [state.shelf(name)] if name else list(state.shelves.values())

    def read() -> list[Listed]:
        found: list[Listed] = []
        for shelf in wanted:
            found += shelf.listed(after, limit - len(found)) if len(found) < limit else []
        return found

    listed = await asyncio.to_thread(read)
    return json_response({"documents": listed, "more": len(listed) == limit})


@routes.put("/documents/{collection}/{document_id:.+}")
async def put_document(request: web.Request) -> web.Response:
    """Adds or replaces a document by the bytes of its file; the id ends in what kind of file it is."""
    state = request.app[STATE]
    collection, document_id = _named(request)
    shelf = state.shelf(collection)
    path = await asyncio.to_thread(shelf.place, document_id)
    if (request.content_length or 0) > DEFAULT_MAX_FILE_BYTES:
        raise PayloadTooLargeError(f"The document is over {DEFAULT_MAX_FILE_BYTES} bytes.", "Split it.")
    async with received(request.content, path) as written, state.turn(collection, document_id):
        stored = await asyncio.get_running_loop().run_in_executor(state.adding, shelf.take, written, document_id)
    return json_response(stored, status=201 if stored.created else 200)


@routes.delete("/documents/{collection}/{document_id:.+}")
async def delete_document(request: web.Request) -> web.Response:
    """Deletes a document for good; says which prompt versions have seen it."""
    state = request.app[STATE]
    collection, document_id = _named(request)
    shelf = state.shelf(collection)
    async with state.turn(collection, document_id):
        deleted: Deleted = await asyncio.get_running_loop().run_in_executor(state.deleting, shelf.delete, document_id)
        await state.end_prepared(deleted.training)
    if not deleted.is_settled:
        raise NotReadyError(
            "The document is gone, but an ingest runs that may have read it before, and would bring it back.",
            "Delete it again when that is done.",
            training=msgspec.to_builtins(deleted.training),
        )
    return json_response(deleted)


@routes.post("/dry-run")
async def dry_run(request: web.Request) -> web.Response:
    """What would be released for a question. Mode `dp` says what it would charge, and answers nothing."""
    state = request.app[STATE]
    asked = await json_body(request, DryRun)
    ask = Ask(
        request_id=0,
        question=asked.question,
        top_k=asked.top_k,
        answer_mode=asked.answer_mode,
        retrieval=asked.retrieval,
        retrieve_only=asked.retrieve_only,
        deadline_s=_DRY_RUN_S,
    )
    try:
        async with asyncio.timeout(_DRY_RUN_S):
            return json_response(await preview(state.answering, ask, release_stopped=state.gate.stopped))
    except TimeoutError as error:
        raise NotReadyError(f"There was no answer within {_DRY_RUN_S:g} s.", "Try again when less runs.") from error


@routes.post("/release/stop")
async def stop_release(request: web.Request) -> web.Response:
    """From now on nothing leaves, also of what is being made."""
    gate = request.app[STATE].gate
    body = await json_body(request, Stop)
    return json_response(await gate.stop(body.reason))


@routes.post("/release/resume")
async def resume_release(request: web.Request) -> web.Response:
    """Lets answers leave again."""
    await request.app[STATE].gate.resume()
    return json_response({})


@routes.post("/compact")
async def compact(request: web.Request) -> web.Response:
    """Rewrites the index files without what was deleted."""
    state = request.app[STATE]
    loop = asyncio.get_running_loop()
    done = {name: await loop.run_in_executor(state.adding, shelf.compact) for name, shelf in state.shelves.items()}
    await loop.run_in_executor(state.adding, compact_coming, state.folder.index, list(state.shelves))
    return json_response(done)


@routes.post("/reembed")
async def reembed(request: web.Request) -> web.Response:
    """Asks for another embedder; `GET /status` says how far it is."""
    state = request.app[STATE]
    body = await json_body(request, Reembed)
    if state.order_embedder is None:
        raise NotReadyError("This node cannot change its embedder while it runs.", "Stop it, then `frag node reembed`.")
    await asyncio.to_thread(state.order_embedder, body.model)
    return json_response({}, status=202)


def _named(request: web.Request) -> tuple[str, str]:
    return request.match_info["collection"], request.match_info["document_id"]


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MAX_LISTED):
        raise BadRequestError(f"`{name}` is not a number from 1 to {_MAX_LISTED}.", "Mend it.")
    return int(text)


_DRY_RUN_S = 120.0
