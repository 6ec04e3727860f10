"""HTTP handlers in OpenAI's form: decode, authorise, ask, encode."""

from collections.abc import Sequence

from aiohttp import web

from frag.errors import FragError
from server.coordinator.answer_views import QueryResponse
from server.coordinator.bodies import json_body, json_response
from server.coordinator.event_stream import Send, event, stream
from server.coordinator.openai import models
from server.coordinator.openai.asking import Asked
from server.coordinator.openai.chat import ChatRequest, Chunks, completion
from server.coordinator.openai.errors import NobodyForModelError, error_in_stream
from server.coordinator.openai.following import answered
from server.coordinator.openai.responses import Output, ResponsesRequest
from server.coordinator.state import STATE, CoordinatorState

openai_routes = web.RouteTableDef()
_DONE = b"data: [DONE]\n\n"


async def _state(request: web.Request) -> CoordinatorState:
    state = request.app[STATE]
    await state.gate.admit(request.headers.get("Authorization"), "query")
    return state


@openai_routes.get("/v1/models")
async def list_models(request: web.Request) -> web.Response:
    """Ways of asking this federation, as models: those that it allows and that somebody connected could answer now."""
    return json_response(models.listed(await _answerable(await _state(request))))


@openai_routes.get("/v1/models/{model}")
async def show_model(request: web.Request) -> web.Response:
    """One of them."""
    name, state = request.match_info["model"], await _state(request)
    models.fields_of(name, state.settings)
    if name not in await _answerable(state):
        raise NobodyForModelError(name)
    return json_response(models.ModelView(id=name))


async def _answerable(state: CoordinatorState) -> Sequence[str]:
    links = [link for name in state.registry.known() if (link := state.registry.link(name))]
    operators = await state.query.consenting.operators()
    return models.answerable(state.settings, {link.node_id: link.ready for link in links}, operators)


@openai_routes.post("/v1/chat/completions")
async def chat(request: web.Request) -> web.StreamResponse:
    """Answers the last message; as a stream of chunks when `stream` is true."""
    state = await _state(request)
    body = await json_body(request, ChatRequest)
    asked = body.asked(state.settings)
    if not body.stream:
        return json_response(completion(asked, await _answer(state, asked)))
    state.query.check(asked.query)

    async def produce(send: Send) -> None:
        chunks = Chunks(asked)
        send(event(chunks.begin()))
        try:
            response = await answered(state, asked, lambda piece: send(event(chunks.text(piece))))
            send(event(chunks.end(response)))
            if body.wants_usage:
                send(event(chunks.usage(response)))
        except FragError as error:
            send(event(error_in_stream(error)))
        send(_DONE)

    return await stream(request, produce)


@openai_routes.post("/v1/responses")
async def responses(request: web.Request) -> web.StreamResponse:
    """Answers `input`; as typed events when `stream` is true."""
    state = await _state(request)
    body = await json_body(request, ResponsesRequest)
    asked = body.asked(state.settings)
    output = Output(asked)
    if not body.stream:
        return json_response(output.completed(await _answer(state, asked)))
    state.query.check(asked.query)

    async def produce(send: Send) -> None:
        for part in output.begin():
            _send(send, part)
        try:
            response = await answered(state, asked, lambda piece: _send(send, output.text(piece)))
            for part in output.end(response):
                _send(send, part)
        except FragError as error:
            _send(send, output.failed(error_in_stream(error)))

    return await stream(request, produce)


def _send(send: Send, part: dict[str, object]) -> None:
    send(event(part, str(part["type"])))


async def _answer(state: CoordinatorState, asked: Asked) -> QueryResponse:
    response = await state.query.answer(asked.query)
    state.log_query(asked.query, response)
    return response
