"""Takes each request to the desk that it is for, and turns whatever happens there into one message."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from frag.errors import FragError
from server.node.parts import Desks, Trains
from server.telemetry.node import NodeWatch
from server.wire.answers import reply_message
from server.wire.messages import (
    Ask,
    Failed,
    Feedback,
    KeywordStage,
    Message,
    Noted,
    Progress,
    Promote,
    Promoted,
    SealedAsk,
    SealedReply,
    Summed,
    SumStage,
    Train,
    Trained,
)

_log = structlog.get_logger()
_PROGRESS_S = 1.0

Request = Ask | SealedAsk | Train | Promote | SumStage | KeywordStage | Feedback
Send = Callable[[Message], Awaitable[None]]


class Reception:
    """One for a node."""

    def __init__(self, desks: Desks, watch: NodeWatch) -> None:
        self._desks = desks
        self._watch = watch

    async def carry_out(self, request: Request, send: Send) -> Message:
        """The reply to `request`: a failure costs this request and not the connection. Progress is sent by `send`."""
        structlog.contextvars.bind_contextvars(wire_request=request.request_id)
        try:
            return await self._carry_out(request, send)
        except TimeoutError:
            return Failed(request_id=request.request_id, code="deadline_exceeded")
        except FragError as error:
            # the reason of anything but a question: that could quote it
            reason = "" if isinstance(request, Ask | SealedAsk) else error.what
            _log.warning("request_failed", kind=type(request).__name__, code=error.code, reason=reason)
            return Failed(request_id=request.request_id, code=error.code)
        except Exception as error:  # noqa: BLE001 - a bug costs its own request, not the others on this connection
            # type only: the text of an error may quote a passage
            _log.error("request_failed", kind=type(request).__name__, code="internal", error=type(error).__name__)
            return Failed(request_id=request.request_id, code="internal")

    async def _carry_out(self, request: Request, send: Send) -> Message:
        trains, keywords = self._desks.trains, self._desks.keywords
        if isinstance(request, Ask | SealedAsk):
            async with asyncio.timeout(request.deadline_s):
                return await self._answer(request)
        if isinstance(request, Train) and trains is not None:
            return await self._train(trains, request, send)
        if isinstance(request, SumStage) and trains is not None:
            return Summed(request_id=request.request_id, content=await trains.sum_stage(request))
        if isinstance(request, KeywordStage) and keywords is not None:
            return Summed(request_id=request.request_id, content=await keywords.carry_out(request))
        return await self._note(request)

    async def _note(self, request: Request) -> Message:
        """What is acknowledged, and says nothing else."""
        prompts, feedback = self._desks.prompts, self._desks.feedback
        if isinstance(request, Promote) and prompts is not None:
            await prompts.promote(request)
            return Promoted(request_id=request.request_id)
        if isinstance(request, Feedback) and feedback is not None:
            await feedback.take(request)
            return Noted(request_id=request.request_id)
        return Failed(request_id=request.request_id, code="not_offered")

    async def _answer(self, request: Ask | SealedAsk) -> Message:
        if isinstance(request, Ask):
            with self._watch.question(request.answer_mode, request.traceparent) as note:
                answer = await self._desks.answers.answer(request)
                self._watch.answered(note, answer)
                return reply_message(request.request_id, answer)
        if self._desks.seals is None:
            return Failed(request_id=request.request_id, code="not_offered")
        with self._watch.question("sealed"):
            return SealedReply(request_id=request.request_id, envelope=await self._desks.seals.answer(request))

    async def _train(self, trains: Trains, request: Train, send: Send) -> Trained:
        """Trains, and tells of progress at most every _PROGRESS_S seconds."""
        newest: list[Progress] = []

        async def tell() -> None:
            while True:
                await asyncio.sleep(_PROGRESS_S)
                if newest:
                    await send(newest[-1])
                    newest.clear()

        telling = asyncio.create_task(tell())
        try:
            with self._watch.training():
                return await trains.train(request, newest.append)
        finally:
            telling.cancel()
