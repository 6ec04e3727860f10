"""A federation in one process: the rounds, local training and sums of the real one, without network or processes.

The model is loaded once and frozen keys and values are shared, which changes no number: nodes only read them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from frag.quantization import compress, decode
from frag.sampling import sample_nodes
from frag.updates import Update, Weights, difference
from prompt_tuning.buffered_simulation import BufferedSimulation
from prompt_tuning.job import JobSettings
from prompt_tuning.local_training import train
from prompt_tuning.rounds import Round, RoundResult, node_seed, schedule
from prompt_tuning.strategies import ServerState, make_strategy
from prompt_tuning.trainable import Prepared, Trainable

OnStep = Callable[[str, int, float], None]
"""Called with (node, steps done, loss)."""


@dataclass(slots=True)
class Simulation:
    """`for result in Simulation(job, trainable, nodes).run(): …`

    Args:
        job: What is trained and how.
        trainable: The method on the model.
        nodes: Prepared training examples of every node.
    """

    job: JobSettings
    trainable: Trainable
    nodes: Mapping[str, Sequence[Prepared]]
    validation: Mapping[str, Sequence[Prepared]] = field(default_factory=dict)
    on_step: OnStep = lambda _node, _step, _loss: None
    _residuals: dict[str, Weights] = field(default_factory=dict)

    def start(self, weights: Weights) -> ServerState:
        """The state before the first round."""
        return make_strategy(self.job.strategy).init(weights)

    def run(self, state: ServerState) -> Iterator[RoundResult]:
        """Plays the rounds that `state` has not seen yet."""
        if self.job.strategy.kind == "fedbuff":
            yield from BufferedSimulation(self.job, list(self.nodes), self._train).run(state)
            return
        while state.round_num < self.job.rounds.number:
            result = self._play(state)
            state = result.state
            yield result

    def _play(self, state: ServerState) -> RoundResult:
        chosen = sample_nodes(
            list(self.nodes), self.job.rounds.nodes_per_round, seed=self.job.seed, round_num=state.round_num
        )
        current = Round(self.job, state)
        for node_id in chosen:
            current.offer(self._train(node_id, state))
        return current.finish()

    def _train(self, node_id: str, state: ServerState) -> Update:
        trained = train(
            self.trainable,
            state.weights,
            self.nodes[node_id],
            self.job.local,
            schedule(self.job, state.round_num),
            seed=node_seed(self.job, state.round_num, node_id),
            proximal_mu=make_strategy(self.job.strategy).proximal_mu,
            validation=self.validation.get(node_id, ()),
            on_step=lambda step, loss: self.on_step(node_id, step, loss),
        )
        delta = difference(trained.weights, state.weights)
        content, self._residuals[node_id] = compress(delta, self._residuals.get(node_id), self.job.update.encoding)
        return Update(
            node_id=node_id,
            round_num=state.round_num,
            delta=decode(content, state.weights, self.job.update.encoding),
            num_examples=trained.num_examples,
            metrics=trained.metrics,
        )
