"""The training process seen from the node: reused while there is work, ended when idle, its own error codes kept."""

import asyncio
import sys

import pytest

from server.node.training import process as module
from server.node.training.orders import Order
from server.node.training.process import TrainerFailedError, TrainingProcess

ORDER = Order(
    job_folder="/j", node_id="a", round_num=0, base_model="0", weights="/w", update="/u", evaluate=False, train=True
)
REPLIES = {
    "done": '{"type": "done", "num_examples": 3, "metrics": {}}',
    "failure": '{"type": "failure", "code": "model_unusable", "what": "Another base model."}',
}


class Scripted(TrainingProcess):
    """Says one thing to every order."""

    reply = "done"
    num_started = 0

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            self.num_started += 1
            script = f"import sys\nfor line in sys.stdin: print({REPLIES[self.reply]!r}, flush=True)"
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
        return self._process


def scripted() -> Scripted:
    return Scripted(model="m", threads=1, log="log")


async def test_one_process_serves_many_rounds_and_ends_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    trains = scripted()
    for _ in range(3):
        assert (await trains.carry_out(ORDER, lambda _step: None)).num_examples == 3
    assert trains.num_started == 1
    first = trains._process
    monkeypatch.setattr(module, "_IDLE_S", 0.01)
    await trains.carry_out(ORDER, lambda _step: None)
    async with asyncio.timeout(5):
        while trains._process is not None:
            await asyncio.sleep(0.01)
    assert first is not None
    assert first.returncode is not None
    await trains.carry_out(ORDER, lambda _step: None)
    assert trains.num_started == 2
    await trains.stop()


async def test_a_failure_keeps_its_own_code() -> None:
    trains = scripted()
    trains.reply = "failure"
    with pytest.raises(TrainerFailedError, match="Another base model") as failed:
        await trains.carry_out(ORDER, lambda _step: None)
    assert failed.value.code == "model_unusable"
    assert trains._process is None
