"""A node with everything but documents and models: real identity, connection and policy, and a null handler.

Run as `python -m server.benchmark.null_node FOLDER PAYLOAD_BYTES`.
"""

import asyncio
import sys
from pathlib import Path

from frag.policy_settings import CollectionSettings
from frag.settings import NodeSettings
from frag.telemetry import configure_logging
from frag.types import AnswerMode, NodeAnswer
from server.node.parts import Desks
from server.node.policy import NodePolicy
from server.node.process import NodeProcess
from server.node.serve import run_until_signal
from server.node.state import NodeFolder
from server.wire.messages import Ask


class NullAnswering:
    """Applies the policy, then answers with filler at once."""

    def __init__(self, settings: NodeSettings, payload_bytes: int) -> None:
        self._settings = settings
        collections = settings.collections or (CollectionSettings(name="null", folder=Path()),)
        self._policy = NodePolicy(settings.policy, collections)
        self._text = "x" * payload_bytes

    def describe(self) -> tuple[tuple[AnswerMode, ...], str, int]:
        """As a real node would."""
        return self._policy.modes(), "null", 0

    async def answer(self, ask: Ask) -> NodeAnswer:
        """The filler, or the reason why the policy withholds it."""
        _names, reason = self._policy.admit(ask.answer_mode)
        return NodeAnswer(
            node_id=self._settings.node_id,
            mode=ask.answer_mode,
            text="" if reason else self._text,
            withheld=reason,
            score=0.5,
        )


async def _main(folder: NodeFolder, payload_bytes: int) -> None:
    settings = folder.settings()
    await run_until_signal(NodeProcess(folder.peer(settings), Desks(answers=NullAnswering(settings, payload_bytes))))


if __name__ == "__main__":
    configure_logging()
    asyncio.run(_main(NodeFolder(Path(sys.argv[1])), int(sys.argv[2])))
