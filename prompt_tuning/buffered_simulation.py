"""Asynchronous rounds over simulated nodes: a virtual clock stands in for nodes of different speed.

A node's speed is drawn once from the job's seed, so that the same job plays to the same weights.
"""

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from frag.errors import UpdateError
from frag.sampling import derive_seed
from frag.updates import Update
from prompt_tuning.buffered_rounds import BufferedRounds
from prompt_tuning.job import JobSettings
from prompt_tuning.rounds import RoundResult
from prompt_tuning.strategies import ServerState

_SLOWEST = 4.0
"""Durations of a node's training are drawn from 1 to this many units of time."""

TrainNode = Callable[[str, ServerState], Update]


@dataclass(frozen=True, slots=True)
class BufferedSimulation:
    """Plays an asynchronous job; `train` trains one node on a state.

    All nodes are at work at once. One whose update of the weights in force counts already waits for the next weights.
    """

    job: JobSettings
    nodes: Sequence[str]
    train: TrainNode

    def run(self, state: ServerState) -> Iterator[RoundResult]:
        """Rounds that `state` has not seen yet."""
        rounds = BufferedRounds(self.job, state)
        now, at_work = 0.0, self._started(0.0, self.nodes, rounds)
        while rounds.state.round_num < self.job.rounds.number:
            if at_work:
                now, node, base = heapq.heappop(at_work)
                result = _offered(rounds, self.train(node, base), base)
                free = [node]
            else:
                result, free = rounds.close(), []
            if result is not None:
                yield result
                working = {node for _, node, _ in at_work}
                free = [node for node in self.nodes if node not in working]
            for entry in self._started(now, free, rounds):
                heapq.heappush(at_work, entry)

    def _started(
        self, now: float, nodes: Sequence[str], rounds: BufferedRounds
    ) -> list[tuple[float, str, ServerState]]:
        started = [(now + self._duration(node), node, rounds.state) for node in nodes if rounds.may_train(node)]
        heapq.heapify(started)
        return started

    def _duration(self, node: str) -> float:
        return random.Random(derive_seed(self.job.seed, "speed", node)).uniform(1.0, _SLOWEST)  # noqa: S311


def _offered(rounds: BufferedRounds, update: Update, base: ServerState) -> RoundResult | None:
    """An update that does not count, such as one that is too old, ends nothing."""
    try:
        return rounds.offer(update, base.round_num)
    except UpdateError:
        return None
