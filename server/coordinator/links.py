"""Live connections to nodes: one question in, one released answer or a failure code out.

`NodeLink` is the transport seam: a WebSocket to a silo, or the coordinator's own public corpus in this process.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import WSMsgType, web

from frag.errors import FragError, ProtocolError
from frag.types import AnswerMode, NodeAnswer, RetrievalMode
from server.telemetry.observation import traceparent
from server.wire.answers import node_answer
from server.wire.codec import decode_to_coordinator, encode
from server.wire.messages import (
    Ask,
    Cancel,
    Failed,
    Feedback,
    KeywordStage,
    Message,
    Noted,
    Progress,
    Promote,
    Promoted,
    Ready,
    Reply,
    SealedAsk,
    SealedReply,
    Summed,
    SumStage,
    Train,
    Trained,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a node is asked; the link adds the request id of its connection."""

    text: str
    top_k: int
    answer_mode: AnswerMode
    retrieval: RetrievalMode
    retrieve_only: bool
    deadline_s: float
    query_id: str = ""

    def __repr__(self) -> str:
        return f"Question({len(self.text)} chars, {self.answer_mode})"


class NodeFailedError(FragError):
    """A node that was asked gave no usable answer; `what` is the stable code shown in `failed`."""

    code = "node_failed"
    http_status = 502


class NodeLink(Protocol):
    """One node that can be asked now."""

    @property
    def node_id(self) -> str: ...

    @property
    def ready(self) -> Ready: ...

    async def ask(self, question: Question) -> NodeAnswer:
        """Raises NodeFailedError. Cancelling the call tells the node to stop."""

    async def close(self) -> None:
        """Ends the connection; questions under way fail with `disconnected`."""


OnBytes = Callable[[str, int], None]
"""Called with (`sent` or `received`, bytes) for every message."""


class WebSocketLink:
    """A silo's node at the other end of a WebSocket that has passed the handshake."""

    def __init__(
        self, node_id: str, socket: web.WebSocketResponse, ready: Ready, on_bytes: OnBytes = lambda _way, _number: None
    ) -> None:
        self._on_bytes = on_bytes
        self._node_id = node_id
        self._socket = socket
        self._ready = ready
        self._request_ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._progress: dict[int, Callable[[Progress], None]] = {}
        self._to_cancel: asyncio.Queue[int] = asyncio.Queue()

    @property
    def node_id(self) -> str:
        return self._node_id

    @property
    def ready(self) -> Ready:
        return self._ready

    async def ask(self, question: Question) -> NodeAnswer:
        reply = await self._request(lambda request_id: ask_message(request_id, question))
        if not isinstance(reply, Reply) or reply.mode != question.answer_mode:
            raise NodeFailedError("bad_reply")
        return node_answer(self._node_id, reply)

    async def relay_sealed(self, make: Callable[[int], SealedAsk]) -> bytes:
        """One sealed question; returns the sealed reply, which nobody here can open. Raises NodeFailedError."""
        reply = await self._request(make)
        if not isinstance(reply, SealedReply):
            raise NodeFailedError("bad_reply")
        return reply.envelope

    async def train(self, make: Callable[[int], Train], on_progress: Callable[[Progress], None]) -> Trained:
        """One round of a job; `make` gets the request id. Raises NodeFailedError."""
        reply = await self._request(make, on_progress)
        if not isinstance(reply, Trained):
            raise NodeFailedError("bad_reply")
        return reply

    async def sum_stage(self, make: Callable[[int], SumStage | KeywordStage]) -> bytes:
        """One stage of a secure sum. Raises NodeFailedError."""
        reply = await self._request(make)
        if not isinstance(reply, Summed):
            raise NodeFailedError("bad_reply")
        return reply.content

    async def promote(self, make: Callable[[int], Promote]) -> None:
        """Makes a version live on the node. Raises NodeFailedError."""
        if not isinstance(await self._request(make), Promoted):
            raise NodeFailedError("bad_reply")

    async def give(self, make: Callable[[int], Feedback]) -> None:
        """Feedback that nobody here can open; durable at the node when it returns. Raises NodeFailedError."""
        if not isinstance(await self._request(make), Noted):
            raise NodeFailedError("bad_reply")

    async def _request(
        self, make: Callable[[int], Message], on_progress: Callable[[Progress], None] | None = None
    ) -> Message:
        request_id = next(self._request_ids)
        reply: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = reply
        if on_progress is not None:
            self._progress[request_id] = on_progress
        try:
            await self._send(make(request_id))
            return await reply
        except asyncio.CancelledError:
            self._to_cancel.put_nowait(request_id)
            raise
        finally:
            self._waiting.pop(request_id, None)
            self._progress.pop(request_id, None)

    async def _send(self, message: Message) -> None:
        try:
            frame = encode(message)
            await self._socket.send_bytes(frame)
            self._on_bytes("sent", len(frame))
        except (ConnectionError, RuntimeError) as error:
            raise NodeFailedError("disconnected") from error

    async def serve(self) -> None:
        """Reads replies until the connection ends. Raises ProtocolError when the node breaks the protocol."""
        canceller = asyncio.create_task(self._send_cancellations())
        try:
            async for frame in self._socket:
                if frame.type is not WSMsgType.BINARY:
                    raise ProtocolError("A node sent a frame that is not binary.")
                self._receive(frame.data)
        finally:
            canceller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await canceller
            self._fail_all()

    def _receive(self, frame: bytes) -> None:
        self._on_bytes("received", len(frame))
        message = decode_to_coordinator(frame)
        if isinstance(message, Ready):
            self._renew(message)
            return
        if isinstance(message, Progress):
            if on_progress := self._progress.get(message.request_id):
                on_progress(message)
            return
        if not isinstance(message, Reply | SealedReply | Failed | Trained | Promoted | Summed | Noted):
            raise ProtocolError(f"A connected node sent a {type(message).__name__}.")
        waiting = self._waiting.get(message.request_id)
        if waiting is None or waiting.done():
            return  # answered after its deadline
        if isinstance(message, Failed):
            waiting.set_exception(NodeFailedError(message.code))
        else:
            waiting.set_result(message)

    def _renew(self, ready: Ready) -> None:
        """What a node offers may change while it is connected, also its embedder: replies say what made them."""
        self._ready = ready

    async def _send_cancellations(self) -> None:
        while True:
            request_id = await self._to_cancel.get()
            with contextlib.suppress(NodeFailedError):
                await self._send(Cancel(request_id=request_id))

    def _fail_all(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(NodeFailedError("disconnected"))

    async def close(self) -> None:
        await self._socket.close(code=1001)


def ask_message(request_id: int, question: Question) -> Ask:
    """The question as it goes over the wire."""
    return Ask(
        request_id=request_id,
        question=question.text,
        top_k=question.top_k,
        answer_mode=question.answer_mode,
        retrieval=question.retrieval,
        retrieve_only=question.retrieve_only,
        deadline_s=question.deadline_s,
        traceparent=traceparent(),
        query_id=question.query_id,
    )


class Registry:
    """Who is enrolled and who is connected now."""

    def __init__(self) -> None:
        self.enrolled: set[str] = set()
        self._links: dict[str, NodeLink] = {}

    async def attach(self, link: NodeLink) -> None:
        """Makes `link` the one connection of its node; an older one (half-open TCP) is closed."""
        older = self._links.get(link.node_id)
        self._links[link.node_id] = link
        if older is not None:
            await older.close()

    def detach(self, link: NodeLink) -> None:
        """Forgets `link`, unless the node has reconnected meanwhile."""
        if self._links.get(link.node_id) is link:
            del self._links[link.node_id]

    def link(self, node_id: str) -> NodeLink | None:
        """The live connection of a node."""
        return self._links.get(node_id)

    def known(self) -> list[str]:
        """Enrolled nodes and the public corpus, sorted."""
        return sorted(self.enrolled | self._links.keys())

    def trainers(self, dataset: str) -> dict[str, WebSocketLink]:
        """Connected nodes that declared a data set of this name."""
        return {
            node_id: link
            for node_id, link in self._links.items()
            if isinstance(link, WebSocketLink) and dataset in link.ready.datasets
        }

    def silos(self) -> list[WebSocketLink]:
        """Connected nodes, without the coordinator's own corpus."""
        return [link for link in self._links.values() if isinstance(link, WebSocketLink)]

    def num_connected(self) -> int:
        return len(self._links)

    async def close(self) -> None:
        """Closes every connection."""
        await asyncio.gather(*(link.close() for link in list(self._links.values())))
