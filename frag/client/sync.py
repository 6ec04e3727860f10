"""The same client without `async`: for scripts, and for notebooks, whose own loop is already running."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frag.client.client import Client
from frag.client.events import Event
from frag.client.views import Answer, FeedbackTaken, Job, NodeInfo, Prompt
from frag.errors import ClosedError

T = TypeVar("T")
_CLOSE_S = 10.0


class SyncClient:
    """`Client` on a loop of its own, in a thread of its own. Not for use by several threads at once.

    Takes the arguments of `Client`; every method is that of `Client` by the same name. After `close` each of them
    raises ClosedError.
    """

    def __init__(self, url: str = "", key: str = "", *, tls_ca: Path | None = None) -> None:
        self._client = Client(url, key, tls_ca=tls_ca)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="frag-client", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"SyncClient({self._client.url})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends session, loop and thread, and takes questions back that are still streamed. May be called again."""
        if self._loop.is_closed():
            return
        self._run(self._loop.shutdown_asyncgens())
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        self._loop.close()

    def ask(self, question: str, **fields: Any) -> Answer:  # noqa: ANN401
        return self._run(self._client.ask(question, **fields))

    def stream(self, question: str, **fields: Any) -> Iterator[Event]:  # noqa: ANN401
        return self._each(self._client.stream(question, **fields))

    def feedback(
        self,
        answer: Answer | str,
        rating: Literal["up", "down", -1, 0, 1],
        correction: str = "",
        *,
        nodes: Sequence[str] | None = None,
        identities: Mapping[str, bytes] | None = None,
        signer: Ed25519PrivateKey | None = None,
    ) -> FeedbackTaken:
        return self._run(
            self._client.feedback(answer, rating, correction, nodes=nodes, identities=identities, signer=signer)
        )

    def nodes(self) -> list[NodeInfo]:
        return self._run(self._client.nodes())

    def train(self, job: Mapping[str, Any] | Path | str) -> Job:
        return self._run(self._client.train(job))

    def job(self, job_id: str) -> Job:
        return self._run(self._client.job(job_id))

    def follow(self, job_id: str, every_s: float = 1.0) -> Iterator[Job]:
        return self._each(self._client.follow(job_id, every_s))

    def wait(self, job_id: str, every_s: float = 1.0) -> Job:
        return self._run(self._client.wait(job_id, every_s))

    def cancel(self, job_id: str) -> None:
        self._run(self._client.cancel(job_id))

    def resume(self, job_id: str) -> None:
        self._run(self._client.resume(job_id))

    def jobs(self) -> list[Job]:
        return self._run(self._client.jobs())

    def prompts(self) -> list[Prompt]:
        return self._run(self._client.prompts())

    def promote(self, version: str) -> dict[str, str]:
        return self._run(self._client.promote(version))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise ClosedError("This client is closed.", "Make a new one, or call it inside its `with`.")
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result()
        except BaseException:
            running.cancel()  # an interrupt must not leave the question running
            raise

    def _each(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        try:
            while True:
                try:
                    yield self._run(_next(items))
                except StopAsyncIteration:
                    return
        finally:
            if not self._loop.is_closed():  # what ends it with the client is `close`
                self._run(_ended(items))


async def _next(items: AsyncGenerator[T, None]) -> T:
    return await anext(items)


async def _ended(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()
