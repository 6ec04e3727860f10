"""A federation in one process: the rounds, local training and sums of the real one, without network or processes.

The model is loaded once and frozen keys and values are shared, which changes no number: nodes only read them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from frag.privacy.draws import SecretDraws
from frag.quantization import compress, decode, encode
from frag.updates import Update, Weights, difference
from prompt_tuning.buffered_simulation import BufferedSimulation
from prompt_tuning.job import JobSettings, PublicSettings
from prompt_tuning.local_training import NOTHING_REMEMBERED, Remembered, Trained, train
from prompt_tuning.private_training import Mechanism, Unit, train_privately
from prompt_tuning.public_phase import PublicPasses, moved, pass_name, public_job
from prompt_tuning.rounds import Round, RoundResult, choose_nodes, node_seed, schedule
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
        validation: Of every node, for stopping early.
        public: Examples that are trained on before each round, where the job has a public phase.
        public_validation: What decides when the nodes' turn comes.
        units: Instead of `nodes`, what each unit of every node has, where privacy is record-level.
        max_rounds: Fewer than the job's where its privacy budget ends before.
        remembered: Of every node, what keeps it from forgetting.
    """

    job: JobSettings
    trainable: Trainable
    nodes: Mapping[str, Sequence[Prepared]]
    validation: Mapping[str, Sequence[Prepared]] = field(default_factory=dict)
    on_step: OnStep = lambda _node, _step, _loss: None
    public: Sequence[Prepared] = ()
    public_validation: Sequence[Prepared] = ()
    units: Mapping[str, Sequence[Unit]] = field(default_factory=dict)
    max_rounds: int | None = None
    remembered: Mapping[str, Remembered] = field(default_factory=dict)
    _residuals: dict[str, Weights] = field(default_factory=dict)

    def start(self, weights: Weights) -> ServerState:
        """The state before the first round."""
        return make_strategy(self.job.strategy).init(weights)

    def run(self, state: ServerState) -> Iterator[RoundResult]:
        """Plays the rounds that `state` has not seen yet. Raises ValueError when private records have no units."""
        if self.job.privacy.mode == "record" and not self.units:
            raise ValueError("record-level privacy protects units, and there are none")
        if self.job.strategy.kind == "fedbuff":
            yield from BufferedSimulation(self.job, list(self.nodes), self._train).run(state)
            return
        last = self.job.rounds.number if self.max_rounds is None else self.max_rounds
        while state.round_num < last:
            result = self._play(state)
            state = result.state
            yield result

    def _play(self, state: ServerState) -> RoundResult:
        seen: dict[str, float] = {}
        if self.job.public is not None:
            passes = self._optimise(self.job.public, state)
            state, seen = passes.state, passes.metrics()
        chosen = choose_nodes(self.job, list(self.units or self.nodes), state.round_num)
        current = Round(self.job, state, len(chosen))
        for node_id in chosen:
            current.offer(self._train(node_id, state))
        result = current.finish()
        return replace(result, metrics={**result.metrics, **seen})

    def _optimise(self, settings: PublicSettings, state: ServerState) -> PublicPasses:
        """The public phase before a round."""
        job = public_job(self.job)
        passes = PublicPasses(settings, state, self._public_loss(state.weights))
        while passes.goes_on:
            trained = train(
                self.trainable,
                passes.state.weights,
                self.public,
                job.local,
                schedule(job, state.round_num),
                seed=node_seed(job, state.round_num, pass_name(passes.num_passes)),
                validation=self.public_validation,
            )
            after = moved(passes.state, difference(trained.weights, passes.state.weights))
            passes.offer(after, self._public_loss(after.weights))
        return passes

    def _public_loss(self, weights: Weights) -> float:
        return self.trainable.loss_of(weights, self.public_validation)

    def _train(self, node_id: str, state: ServerState) -> Update:
        broadcast = self.job.update.broadcast
        given = decode(encode(state.weights, broadcast), state.weights, broadcast)
        trained = self._steps(node_id, state, given)
        delta = difference(trained.weights, given)
        content, self._residuals[node_id] = compress(delta, self._residuals.get(node_id), self.job.update.encoding)
        return Update(
            node_id=node_id,
            round_num=state.round_num,
            delta=decode(content, state.weights, self.job.update.encoding),
            num_examples=trained.num_examples,
            metrics=trained.metrics,
        )

    def _steps(self, node_id: str, state: ServerState, given: Weights) -> Trained:
        mu = make_strategy(self.job.strategy).proximal_mu
        place = schedule(self.job, state.round_num)
        if self.job.privacy.mode == "record":
            units = self.units[node_id]
            mechanism = Mechanism.of(self.job, len(units))
            return train_privately(
                self.trainable,
                given,
                units,
                self.job.local,
                place,
                mechanism=mechanism,
                draws=SecretDraws(),
                proximal_mu=mu,
            )
        return train(
            self.trainable,
            given,
            self.nodes[node_id],
            self.job.local,
            place,
            seed=node_seed(self.job, state.round_num, node_id),
            proximal_mu=mu,
            validation=self.validation.get(node_id, ()),
            remembered=self.remembered.get(node_id, NOTHING_REMEMBERED),
            on_step=lambda step, loss: self.on_step(node_id, step, loss),
        )
