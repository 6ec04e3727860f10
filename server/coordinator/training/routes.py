"""HTTP handlers of training: jobs, prompt versions, and the exchange of weights with nodes."""

import msgspec
from aiohttp import web
from pydantic import ValidationError

from frag.errors import BadRequestError
from prompt_tuning.job import JobSettings, places_of
from server.coordinator.bodies import json_body, json_response
from server.coordinator.standing.service import StandingService
from server.coordinator.standing.timeline import Timeline, timeline
from server.coordinator.state import STATE
from server.coordinator.training import exchange
from server.coordinator.training.jobs import JobService
from server.coordinator.training.versions import NewTemplate

training_routes = web.RouteTableDef()


async def _admit(request: web.Request, *scopes: str) -> None:
    await request.app[STATE].gate.admit(request.headers.get("Authorization"), *scopes)


@training_routes.post("/v1/jobs")
async def create_job(request: web.Request) -> web.Response:
    """Queues a training job, or keeps a standing one. The body is a job as in `job.toml`."""
    await _admit(request, "train")
    body = await json_body(request, dict)
    try:
        job = JobSettings.model_validate(body)
    except ValidationError as error:
        raise BadRequestError(f"The job does not fit: {places_of(error)}.", "Mend these values.") from error
    state = request.app[STATE]
    if job.standing is not None:
        if job.standing.series:
            raise BadRequestError("`standing.series` is for the coordinator to fill in.", "Leave it out.")
        return json_response({"job_id": await state.standing.create(job), "state": "waiting"}, status=201)
    return json_response({"job_id": await state.jobs.create(job), "state": "queued"}, status=201)


@training_routes.get("/v1/jobs")
async def list_jobs(request: web.Request) -> web.Response:
    """All jobs, oldest first, and the standing ones."""
    await _admit(request, "train")
    state = request.app[STATE]
    return json_response({"jobs": await state.jobs.listed(), "standing": await state.standing.listed()})


@training_routes.get("/v1/jobs/{job}")
async def show_job(request: web.Request) -> web.Response:
    """State, rounds and metrics of one job; of a standing one what it waits for."""
    await _admit(request, "train")
    return json_response(await (await _service_of(request)).view(request.match_info["job"]))


@training_routes.get("/v1/jobs/{job}/events")
async def follow_job(request: web.Request) -> web.StreamResponse:
    """What happens to a job, as server-sent events, until it ends."""
    await _admit(request, "train")
    jobs, job_id = request.app[STATE].jobs, request.match_info["job"]
    await jobs.view(job_id)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    try:
        async for name, content in jobs.events(job_id):
            await response.write(b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(content)))
        await response.write_eof()
    except ConnectionError:
        pass  # the listener left
    return response


@training_routes.post("/v1/jobs/{job}/cancel")
async def cancel_job(request: web.Request) -> web.Response:
    """Stops a job at once; committed rounds stay. A standing one ends with its run."""
    await _admit(request, "train")
    await (await _service_of(request)).cancel(request.match_info["job"])
    return web.Response(status=204)


@training_routes.post("/v1/jobs/{job}/resume")
async def resume_job(request: web.Request) -> web.Response:
    """Goes on with a cancelled or failed job after its last committed round, or with a paused standing one."""
    await _admit(request, "train")
    await (await _service_of(request)).resume(request.match_info["job"])
    return web.Response(status=204)


@training_routes.post("/v1/jobs/{job}/pause")
async def pause_job(request: web.Request) -> web.Response:
    """Lets a standing job start no runs; one under way is played and decided."""
    await _admit(request, "train")
    await request.app[STATE].standing.pause(request.match_info["job"])
    return web.Response(status=204)


async def _service_of(request: web.Request) -> JobService | StandingService:
    state = request.app[STATE]
    return state.standing if await state.standing.knows(request.match_info["job"]) else state.jobs


@training_routes.get("/v1/timeline")
async def show_timeline(request: web.Request) -> web.Response:
    """Versions, what was decided of them and why, and what went live, oldest first."""
    await _admit(request, "query", "train")
    state = request.app[STATE]
    entries = timeline(await state.versions.rows(), await state.versions.promoted(), await state.standing.decisions())
    return json_response(Timeline(timeline=entries))


@training_routes.get("/v1/prompts")
async def list_prompts(request: web.Request) -> web.Response:
    """All prompt versions, and which is live."""
    await _admit(request, "query", "train")
    versions = request.app[STATE].versions
    return json_response({"live": await versions.live(), "prompts": await versions.listed()})


@training_routes.post("/v1/prompts")
async def add_template(request: web.Request) -> web.Response:
    """Registers a written template as a version; it goes live only by promotion."""
    await _admit(request, "train")
    version = await request.app[STATE].versions.add_template(await json_body(request, NewTemplate))
    return json_response({"version": version}, status=201)


@training_routes.get("/v1/prompts/{version}")
async def show_prompt(request: web.Request) -> web.Response:
    """One version."""
    await _admit(request, "query", "train")
    return json_response(await request.app[STATE].versions.shown(request.match_info["version"]))


@training_routes.post("/v1/prompts/{version}/promote")
async def promote(request: web.Request) -> web.Response:
    """Makes a version live on every node; `none` is the model as it is."""
    await _admit(request, "train")
    named = request.match_info["version"]
    version = "" if named == "none" else named
    return json_response({"live": version, "nodes": await request.app[STATE].versions.promote(version)})


@training_routes.post("/v1/prompts/rollback")
async def rollback(request: web.Request) -> web.Response:
    """Makes live again what was live before."""
    await _admit(request, "train")
    version, nodes = await request.app[STATE].versions.rollback()
    return json_response({"live": version, "nodes": nodes})


@training_routes.get("/v1/training/{ticket}")
async def fetch(request: web.Request) -> web.StreamResponse:
    """Weights or a version for the node that holds the ticket."""
    return await exchange.fetch(request, request.app[STATE].exchange)


@training_routes.put("/v1/training/{ticket}")
async def bring(request: web.Request) -> web.Response:
    """The update of the node that holds the ticket."""
    return await exchange.bring(request, request.app[STATE].exchange)
