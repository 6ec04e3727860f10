"""The inference worker: concurrent requests share batches, cancelled ones stop, a failing batch fails alone."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import pytest

from frag.errors import ModelError, RateLimitedError
from frag.protocols import LanguageModel, TextListener
from frag.types import Adaptation, Generation, GenerationRequest, Place
from server.node.inference import InferenceWorker


class RecordingModel:
    """Echoes questions; `open` lets a batch go on, so that tests decide who shares one."""

    name = "recording"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = threading.Event()
        self.open.set()
        self.stopped_rows: list[int] = []
        self.versions: list[str] = []

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        is_cancelled: Callable[[int], bool] = lambda _row: False,
        adaptation: Adaptation | None = None,
        listeners: Mapping[int, TextListener] | None = None,
    ) -> list[Generation]:
        self.batches.append([request.question for request in requests])
        self.versions.append(adaptation.version if adaptation else "")
        while not self.open.wait(0.01):
            self.stopped_rows = [row for row in range(len(requests)) if is_cancelled(row)]
        if requests[0].question == "crash":
            raise RuntimeError("out of memory")
        return [
            Generation(text=f"re {request.question}", token_logprob=-0.1, num_prompt_tokens=1, num_new_tokens=1)
            for request in requests
        ]

    def check(self, adaptation: Adaptation) -> None:
        if adaptation.base_model != "this one":
            raise ModelError("The prompt was trained for another base model.")


def version(name: str, base_model: str = "this one") -> Adaptation:
    return Adaptation(
        method="template", settings={}, place=Place.AFTER, tensors={}, base_model=base_model, layout="", version=name
    )


def ask(question: str) -> GenerationRequest:
    return GenerationRequest(question=question)


async def test_what_waits_while_a_batch_runs_forms_the_next_one() -> None:
    model = RecordingModel()
    async with InferenceWorker(lambda: model, max_batch=4, gather_s=0.0) as worker:
        model.open.clear()
        first = asyncio.create_task(worker.generate(ask("q0")))
        while not model.batches:
            await asyncio.sleep(0.001)
        rest = [asyncio.create_task(worker.generate(ask(f"q{i}"))) for i in range(1, 7)]
        await asyncio.sleep(0.02)
        model.open.set()
        answers = [a.text for a in await asyncio.gather(first, *rest)]
    assert answers == [f"re q{i}" for i in range(7)]
    assert model.batches == [["q0"], ["q1", "q2", "q3", "q4"], ["q5", "q6"]]


async def test_a_batch_waits_a_moment_for_company() -> None:
    model = RecordingModel()
    async with InferenceWorker(lambda: model, max_batch=8, gather_s=0.2) as worker:
        first = asyncio.create_task(worker.generate(ask("a")))
        await asyncio.sleep(0.02)
        await asyncio.gather(first, worker.generate(ask("b")))
    assert model.batches == [["a", "b"]]


async def test_a_cancelled_request_is_dropped_or_stopped() -> None:
    model = RecordingModel()
    async with InferenceWorker(lambda: model, max_batch=1, gather_s=0.0) as worker:
        model.open.clear()
        running = asyncio.create_task(worker.generate(ask("running")))
        while not model.batches:
            await asyncio.sleep(0.001)
        waiting = asyncio.create_task(worker.generate(ask("waiting")))
        await asyncio.sleep(0.01)
        running.cancel()
        waiting.cancel()
        while not model.stopped_rows:
            await asyncio.sleep(0.001)
        model.open.set()
        assert (await worker.generate(ask("next"))).text == "re next"
    assert model.batches == [["running"], ["next"]]


async def test_a_failing_batch_fails_alone() -> None:
    async with InferenceWorker(RecordingModel, max_batch=1, gather_s=0.0) as worker:
        with pytest.raises(RuntimeError, match="out of memory"):
            await worker.generate(ask("crash"))
        assert (await worker.generate(ask("next"))).text == "re next"


async def test_a_model_that_does_not_load_is_an_error_at_start() -> None:
    def load() -> RecordingModel:
        raise ModelError("No such model.", "Run `frag models pull`.")

    with pytest.raises(ModelError):
        async with InferenceWorker(load, max_batch=1, gather_s=0.0):
            pass


async def test_an_endless_queue_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.node.inference.MAX_WAITING", 3)
    model = RecordingModel()
    async with InferenceWorker(lambda: model, max_batch=1, gather_s=0.0) as worker:
        model.open.clear()
        tasks = [asyncio.create_task(worker.generate(ask("q0")))]
        while not model.batches:
            await asyncio.sleep(0.001)
        tasks += [asyncio.create_task(worker.generate(ask(f"q{i}"))) for i in range(1, 5)]
        await asyncio.sleep(0.01)
        with pytest.raises(RateLimitedError):
            await tasks[-1]
        model.open.set()
        await asyncio.gather(*tasks[:-1])


async def test_the_event_loop_runs_on_while_the_model_works() -> None:
    model = RecordingModel()
    async with InferenceWorker(lambda: model, max_batch=1, gather_s=0.0) as worker:
        model.open.clear()
        task = asyncio.create_task(worker.generate(ask("slow")))
        started = time.monotonic()
        ticks = 0
        while time.monotonic() - started < 0.1:
            await asyncio.sleep(0.001)
            ticks += 1
        model.open.set()
        await task
    assert ticks > 20


async def test_leaving_with_work_in_the_queue_cancels_it() -> None:
    model = RecordingModel()
    async with InferenceWorker(lambda: model, max_batch=1, gather_s=0.0) as worker:
        model.open.clear()
        running = asyncio.create_task(worker.generate(ask("a")))
        while not model.batches:
            await asyncio.sleep(0.001)
        threading.Timer(0.05, model.open.set).start()
    assert (await running).text == "re a"


async def test_a_prompt_goes_live_between_two_answers_and_a_batch_holds_one_version() -> None:
    model = RecordingModel()
    async with InferenceWorker(lambda: model, max_batch=8, gather_s=0.0) as worker:
        await worker.generate(ask("before"))
        model.open.clear()
        running = asyncio.create_task(worker.generate(ask("running")))
        while len(model.batches) < 2:
            await asyncio.sleep(0.001)
        waiting = [asyncio.create_task(worker.generate(ask(f"old {n}"))) for n in range(2)]
        await asyncio.sleep(0)
        flip = asyncio.create_task(worker.go_live(version("v2")))
        await asyncio.sleep(0.02)
        model.open.set()
        await flip
        waiting.append(asyncio.create_task(worker.generate(ask("new"))))
        await asyncio.gather(running, *waiting)
    flat = {q: v for batch, v in zip(model.batches, model.versions, strict=True) for q in batch}
    assert flat == {"before": "", "running": "", "old 0": "", "old 1": "", "new": "v2"}


async def test_a_prompt_for_another_model_is_refused_and_the_last_good_one_stays() -> None:
    model = RecordingModel()
    async with InferenceWorker(lambda: model, max_batch=8, gather_s=0.0) as worker:
        await worker.go_live(version("good"))
        with pytest.raises(ModelError):
            await worker.go_live(version("bad", "another"))
        assert worker.live is not None
        assert worker.live.version == "good"
        await worker.generate(ask("?"))
        await worker.generate(GenerationRequest(question="?", instruction="Merge these."))
        await worker.go_live(None)
        await worker.generate(ask("?"))
    assert model.versions == ["good", "", ""]


class AloudModel(RecordingModel):
    """Tells its text in two steps to the rows that listen."""

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        is_cancelled: Callable[[int], bool] = lambda _row: False,
        adaptation: Adaptation | None = None,
        listeners: Mapping[int, TextListener] | None = None,
    ) -> list[Generation]:
        written = super().generate(requests, is_cancelled, adaptation)
        for row, listener in (listeners or {}).items():
            listener("re")
            listener(written[row].text)
        return written


async def test_a_listener_hears_its_own_text_in_order_and_before_the_result() -> None:
    heard: list[str] = []
    async with InferenceWorker(AloudModel, max_batch=4, gather_s=0.05) as worker:
        first, second = await asyncio.gather(worker.generate(ask("one"), heard.append), worker.generate(ask("two")))
        assert heard == ["re", "re one"]
    assert (first.text, second.text) == ("re one", "re two")


async def test_whoever_stops_waiting_for_the_model_leaves_no_thread_behind() -> None:
    loading, go_on = threading.Event(), threading.Event()

    def load() -> LanguageModel:
        loading.set()
        go_on.wait(10)
        raise ModelError("It is broken, and nobody wants to know.")

    entering = asyncio.create_task(InferenceWorker(load, 4, 0.0).__aenter__())
    await asyncio.to_thread(loading.wait, 10)
    entering.cancel()
    asyncio.get_running_loop().call_later(0.05, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert not [thread for thread in threading.enumerate() if thread.name == "inference"]
