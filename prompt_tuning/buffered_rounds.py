"""The steps of an asynchronous job as pure logic: which updates count, who may train, and what a step ends in.

Coordinator and simulation both stand on it. numpy alone. Source: see `strategies/fedbuff.py`.
"""

from frag.errors import UpdateError
from frag.updates import Update, UpdateLimits, check_update
from prompt_tuning.job import JobSettings
from prompt_tuning.rounds import RoundResult, mean_metrics
from prompt_tuning.strategies import BufferState, FedBuffSettings, ServerState, make_buffer


class BufferedRounds:
    """Takes updates one by one; every `buffer_size` of them make a round."""

    def __init__(self, job: JobSettings, state: ServerState) -> None:
        if not isinstance(job.strategy, FedBuffSettings):
            raise TypeError(f"{job.strategy.kind} has no buffer")
        self._buffer = make_buffer(job.strategy)
        self._limits = UpdateLimits(max_examples=job.update.max_examples, max_norm=job.update.max_norm)
        self._held: BufferState = self._buffer.resume(state)
        self._metrics: dict[str, dict[str, float]] = {}
        self._remarks: dict[str, str] = {}

    @property
    def state(self) -> ServerState:
        """The weights in force."""
        return self._held.server

    @property
    def num_buffered(self) -> int:
        return self._held.num_buffered

    def may_train(self, node_id: str) -> bool:
        """False for a node whose update of the weights in force counts already."""
        return self._held.last_base.get(node_id, -1) < self.state.round_num

    def offer(self, update: Update, base_round: int) -> RoundResult | None:
        """The round that this update ends, if it ends one.

        Raises:
            UpdateError: It does not count: wrong, too old, or counted already.
        """
        checked, reasons = check_update(update, self.state.weights, base_round, self._limits)
        before = self.state.round_num
        self._held = self._buffer.offer(self._held, checked, base_round)
        self._metrics[update.node_id] = dict(update.metrics)
        if reasons:
            self._remarks[update.node_id] = "; ".join(reasons)
        return self._ended() if self.state.round_num > before else None

    def close(self) -> RoundResult:
        """Ends the round with what has come, because nobody is left to fill the buffer. Raises UpdateError if empty."""
        if not self.num_buffered:
            raise UpdateError("There is no update in the buffer.")
        self._held = self._buffer.close(self._held)
        return self._ended()

    def _ended(self) -> RoundResult:
        metrics, remarks = self._metrics, self._remarks
        self._metrics, self._remarks = {}, {}
        return RoundResult(
            state=self.state,
            contributors=tuple(sorted(metrics)),
            remarks=remarks,
            metrics=mean_metrics(metrics[node] for node in sorted(metrics)),
        )
