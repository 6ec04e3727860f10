"""One question to many nodes at once: answers that arrive by the deadline, and why the others did not."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from frag.types import NodeAnswer
from server.coordinator.links import NodeFailedError, NodeLink, Question
from server.telemetry.observation import stage

OnReply = Callable[[str, str], None]
"""Called with (node id, "answered" | "withheld" | failure code) as replies arrive."""


@dataclass(slots=True)
class Gathered:
    """Replies by the deadline, and a failure code for each node without one."""

    replies: list[NodeAnswer] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def _ignore(_node_id: str, _outcome: str) -> None:
    return None


async def fan_out(links: Sequence[NodeLink], question: Question, on_reply: OnReply = _ignore) -> Gathered:
    """Asks all `links` and waits for all, but never beyond `question.deadline_s`; stragglers are cancelled.

    The replies are in the order of `links`, so that nothing later depends on who was quicker.
    """
    gathered = Gathered()
    tasks = {link.node_id: asyncio.create_task(_ask(link, question, on_reply)) for link in links}
    try:
        await asyncio.wait(tasks.values(), timeout=question.deadline_s)
    finally:
        stragglers = [task for task in tasks.values() if task.cancel()]
        if stragglers:
            await asyncio.wait(stragglers)
    for node_id, task in tasks.items():
        outcome = "deadline_exceeded" if task.cancelled() else task.result()
        if isinstance(outcome, NodeAnswer):
            gathered.replies.append(outcome)
        else:
            gathered.failed[node_id] = outcome
            if task.cancelled():
                on_reply(node_id, outcome)
    return gathered


async def _ask(link: NodeLink, question: Question, on_reply: OnReply) -> NodeAnswer | str:
    with stage("ask") as note:
        note.attributes["frag.node"] = link.node_id
        try:
            answer = await link.ask(question)
        except NodeFailedError as error:
            note.attributes["frag.outcome"] = error.what
            on_reply(link.node_id, error.what)
            return error.what
        note.attributes["frag.outcome"] = outcome = "withheld" if answer.withheld else "answered"
        on_reply(link.node_id, outcome)
        return answer
