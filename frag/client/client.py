"""The asynchronous client."""

import asyncio
import os
import ssl
import tomllib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.client.connection import Connection
from frag.client.events import Done, Event, to_event
from frag.client.sealing import Sealing
from frag.client.views import Answer, FeedbackTaken, Job, NodeInfo, Prompt
from frag.errors import ProtocolError, SettingsError
from frag.tls import tls_context

T = TypeVar("T")
DEFAULT_URL = "http://127.0.0.1:8470"


class Client:
    """A coordinator, seen from outside: `async with Client(url, key) as frag: answer = await frag.ask("…")`.

    Every call raises CoordinatorError where the coordinator refuses, UnreachableError where nobody answers, and
    ProtocolError where something else does.

    Args:
        url: Scheme, host and port; FRAG_URL or the loopback if empty.
        key: API key; FRAG_API_KEY if empty.
        tls_ca: PEM file that signs the coordinator's certificate; the system's authorities if left out.
        tls: Instead of `tls_ca`, a context of one's own.

    Raises:
        SettingsError: Plain HTTP to another machine, or a CA file that cannot be read.
    """

    def __init__(
        self, url: str = "", key: str = "", *, tls_ca: Path | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.url = (url or os.environ.get("FRAG_URL", DEFAULT_URL)).rstrip("/")
        key = key or os.environ.get("FRAG_API_KEY", "")
        self._connection = Connection(self.url, key, tls or tls_context(self.url, tls_ca))

    def __repr__(self) -> str:
        return f"Client({self.url})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the session."""
        await self._connection.close()

    async def ask(self, question: str, **fields: Any) -> Answer:  # noqa: ANN401
        """Asks and waits for the answer. `fields` are those of `POST /v1/query`, such as `answer_mode` or `nodes`."""
        async with aclosing(self.stream(question, **fields)) as events:
            async for event in events:
                if isinstance(event, Done):
                    return event.answer
        raise ProtocolError("The coordinator ended the stream without an answer.", "Ask again; see its log.")

    async def stream(self, question: str, **fields: Any) -> AsyncGenerator[Event, None]:  # noqa: ANN401
        """The same, event by event; the last one is `Done`. Leaving the loop takes the question back."""
        body = {"question": question, **{name: value for name, value in fields.items() if value is not None}}
        async with aclosing(self._connection.events("/v1/query", body)) as events:
            async for name, payload in events:
                if (event := _fits(name, payload)) is not None:
                    yield event

    async def feedback(
        self,
        answer: Answer | str,
        rating: Literal["up", "down", -1, 0, 1],
        correction: str = "",
        *,
        nodes: Sequence[str] | None = None,
        identities: Mapping[str, bytes] | None = None,
        signer: Ed25519PrivateKey | None = None,
    ) -> FeedbackTaken:
        """Says what an answer was worth, and what would have been right, to the nodes that it rests on.

        Args:
            answer: The answer, or its `query_id`.
            rating: up (1), down (-1) or neither (0).
            correction: At most 4,000 characters; each node's operator decides what becomes of it.
            nodes: Whom to tell; those that contributed if left out.
            identities: Public identities of nodes from a roster that was checked (`frag.roster.pinned_nodes`): the
                feedback is then sealed here, and the coordinator sees neither rating nor correction.
            signer: With `identities`: who signs; for a sealed question the key that it was asked with.

        Raises:
            SealingError: A node has no sealing key that its identity signed.
        """
        query_id = answer if isinstance(answer, str) else answer.query_id
        if nodes is None and isinstance(answer, Answer):
            nodes = [view.node for view in answer.answered if view.contributed]
        body: dict[str, Any] = {"rating": rating, "correction": correction, "nodes": list(nodes or []) or None}
        if identities is not None:
            infos = await self.nodes()
            sealing = Sealing(identities, signer or Ed25519PrivateKey.generate())
            body = {"sealed": await asyncio.to_thread(sealing.seal, query_id, rating, correction, nodes, infos)}
        said = await self._connection.post(f"/v1/query/{query_id}/feedback", body)
        return _converted(said, FeedbackTaken)

    async def nodes(self) -> list[NodeInfo]:
        """Enrolled nodes, connected or not."""
        return _converted((await self._connection.get("/v1/nodes")).get("nodes"), list[NodeInfo])

    async def train(self, job: Mapping[str, Any] | Path | str) -> Job:
        """Queues a training job: its settings, or the path of a `job.toml`. It goes on when this client leaves."""
        settings = job if isinstance(job, Mapping) else await asyncio.to_thread(_read_job, Path(job))
        return _converted(await self._connection.post("/v1/jobs", settings), Job)

    async def job(self, job_id: str) -> Job:
        """State, rounds and metrics of one job."""
        return _converted(await self._connection.get(f"/v1/jobs/{job_id}"), Job)

    async def follow(self, job_id: str, every_s: float = 1.0) -> AsyncGenerator[Job, None]:
        """The job whenever something changed, until it has ended."""
        seen = None
        while True:
            job = await self.job(job_id)
            if job != seen:
                yield job
                seen = job
            if job.has_ended:
                return
            await asyncio.sleep(every_s)

    async def wait(self, job_id: str, every_s: float = 1.0) -> Job:
        """The job when it has ended, well or not: see its `state`."""
        async with aclosing(self.follow(job_id, every_s)) as states:
            return [job async for job in states][-1]

    async def cancel(self, job_id: str) -> None:
        """Stops a job at once; its committed rounds stay."""
        await self._connection.post(f"/v1/jobs/{job_id}/cancel")

    async def resume(self, job_id: str) -> None:
        """Goes on with a cancelled or failed job after its last committed round."""
        await self._connection.post(f"/v1/jobs/{job_id}/resume")

    async def jobs(self) -> list[Job]:
        """All jobs, oldest first, without their rounds."""
        return _converted((await self._connection.get("/v1/jobs")).get("jobs"), list[Job])

    async def prompts(self) -> list[Prompt]:
        """All prompt versions, oldest first."""
        return _converted((await self._connection.get("/v1/prompts")).get("prompts"), list[Prompt])

    async def promote(self, version: str) -> dict[str, str]:
        """Makes a version live; an empty one is the model as it is. Returns what each node said."""
        said = await self._connection.post(f"/v1/prompts/{version or 'none'}/promote")
        return _converted(said.get("nodes"), dict[str, str])


def _fits(name: str, payload: dict[str, Any]) -> Event | None:
    try:
        return to_event(name, payload)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"An event does not fit: {error}.", "Use the version of the coordinator.") from error


def _converted(content: object, kind: type[T]) -> T:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"The answer does not fit: {error}.", "Use the version of the coordinator.") from error


def _read_job(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"The job {path} cannot be read: {error}.", "Give a TOML file.") from error
