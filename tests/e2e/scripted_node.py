"""A node with everything but documents and models: real process, identity, connection and policy; a fixed answer.

Run as `python -m tests.e2e.scripted_node FOLDER TEXT`.
"""

import asyncio
import sys
from pathlib import Path

from frag.policy_settings import CollectionSettings
from frag.settings import NodeSettings
from frag.telemetry import configure_logging
from frag.types import AnswerMode, Citation, NodeAnswer
from server.node.parts import Desks
from server.node.policy import NodePolicy
from server.node.process import NodeProcess
from server.node.serve import run_until_signal
from server.node.state import NodeFolder
from server.wire.messages import Ask


class ScriptedAnswering:
    def __init__(self, settings: NodeSettings, text: str) -> None:
        self._policy = NodePolicy(settings.policy, (CollectionSettings(name="scripted", folder=Path()),))
        self._node_id, self._text = settings.node_id, text

    def describe(self) -> tuple[tuple[AnswerMode, ...], str, int]:
        return self._policy.modes(), "scripted", 1

    async def answer(self, ask: Ask) -> NodeAnswer:
        _names, reason = self._policy.admit(ask.answer_mode)
        return NodeAnswer(
            node_id=self._node_id,
            mode=ask.answer_mode,
            text="" if reason else self._text,
            withheld=reason,
            score=0.8,
            citations=() if reason else (Citation(document_alias="00ff", score=0.8),),
        )


if __name__ == "__main__":
    configure_logging()
    folder = NodeFolder(Path(sys.argv[1]))
    asyncio.run(
        run_until_signal(
            NodeProcess(
                folder.peer(folder.settings()), Desks(answers=ScriptedAnswering(folder.settings(), sys.argv[2]))
            )
        )
    )
