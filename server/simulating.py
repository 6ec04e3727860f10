"""`frag simulate`: a job over simulated nodes in one process, from a file of examples to an adaptation file."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frag.durable import write_atomic
from frag.errors import BadRequestError
from frag.models import Kind, locate
from frag.protocols import FloatArray
from frag.sampling import derive_seed
from frag.types import Adaptation
from frag.updates import Weights
from prompt_tuning.adaptation_file import save_adaptation
from prompt_tuning.dataset import Example, read_examples, split
from prompt_tuning.job import JobSettings
from prompt_tuning.private_training import by_unit
from prompt_tuning.rounds import RoundResult
from prompt_tuning.simulation import Simulation
from prompt_tuning.spending import spent_by
from prompt_tuning.trainable import Prepared, Trainable

_MAX_HELD_OUT = 200

OnRound = Callable[[RoundResult], None]
Embed = Callable[[Sequence[Example]], list[FloatArray] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """Losses by round, and what was trained."""

    losses: Sequence[float]
    held_out_losses: tuple[float, float]
    """Of the first and the last weights on the held-out share of the file, nats a token; NaN where there is none."""
    num_examples: int
    num_bytes: int
    adaptation: Adaptation = field(repr=False)
    spent: Mapping[str, float] = field(default_factory=dict)
    """What the job cost, by name: ε and δ of its claim, and what they rest on; empty where nothing is claimed."""


def simulate(
    job: JobSettings,
    data: Path,
    num_nodes: int,
    model_name: str,
    threads: int,
    on_round: OnRound,
    public: Path | None = None,
) -> Simulated:
    """Deals `data` out over nodes by group, has each split its part as a real node would, and plays the job.

    Args:
        job: What is trained and how.
        data: Examples of all nodes.
        num_nodes: How many nodes they are dealt to.
        model_name: Language model.
        threads: Of the CPU.
        on_round: Told after every round.
        public: Examples of the coordinator, for the job's public phase.

    Raises:
        BadRequestError: There are fewer groups than nodes, or the job has a public phase and there is no file for it.
        DatasetError: The file cannot be used.
        ModelError: The model is missing, or the method does not fit it.
        LedgerError: The job costs a node more than its privacy budget, or leaves no round.
    """
    from prompt_tuning.language_model import TransformersLanguageModel

    if job.method.kind == "template":
        raise BadRequestError("There is nothing to train in written prompts.", "Compare them with `frag train`.")
    dealt = _deal(read_examples(data), num_nodes, job.seed)
    nodes = {name: split(part, always_trains=job.privacy.mode != "record") for name, part in dealt.items()}
    spent = spent_by(job, [len(by_unit(part.train, job.objective)) for part in nodes.values()])
    model = TransformersLanguageModel(locate(model_name, Kind.LANGUAGE_MODEL), threads=threads)
    trainable = Trainable(model, job.method, job.template)
    embed, width, fingerprint = _embedder(trainable, threads)

    def prepared(examples: Sequence[Example]) -> list[Prepared]:
        return trainable.prepare(examples, job.objective, embed(examples))

    def prepared_units(examples: Sequence[Example]) -> list[list[Prepared]]:
        units = by_unit(examples, job.objective)
        vectors = [embed(unit) or [] for unit in units] if trainable.method.reads_vectors else None
        return trainable.prepare_units(units, job.objective, vectors)

    by_units = job.privacy.mode == "record"
    simulation = Simulation(
        job,
        trainable,
        {} if by_units else {name: prepared(part.train) for name, part in nodes.items()},
        {name: prepared(part.validation) for name, part in nodes.items() if job.local.validate_every},
        units={name: prepared_units(part.train) for name, part in nodes.items()} if by_units else {},
        max_rounds=int(spent.get("rounds", job.rounds.number)),
        **_public_parts(job, public, trainable, embed),
    )
    state = first = simulation.start(trainable.initial(seed=job.seed, vector_width=width))
    losses = []
    for result in simulation.run(state):
        state = result.state
        losses.append(result.metrics.get("loss", float("nan")))
        on_round(result)
    adaptation = Adaptation(
        method=job.method.kind,
        settings=job.method.model_dump(mode="json", exclude={"kind", "place"}),
        place=job.method.place,
        tensors=state.weights,
        template=job.template,
        base_model=model.fingerprint,
        layout=model.layout.fingerprint,
        embedder=fingerprint,
        epsilon=spent.get("epsilon", math.inf),
        delta=spent.get("delta", 0.0),
    )
    held_out = prepared([example for part in nodes.values() for example in part.held_out][:_MAX_HELD_OUT])
    return Simulated(
        losses=losses,
        held_out_losses=(_loss(trainable, first.weights, held_out), _loss(trainable, state.weights, held_out)),
        num_examples=sum(len(part.train) for part in nodes.values()),
        num_bytes=adaptation.num_bytes,
        adaptation=adaptation,
        spent=spent,
    )


def _loss(trainable: Trainable, weights: Weights, examples: Sequence[Prepared]) -> float:
    return trainable.loss_of(weights, examples) if examples else float("nan")


def _public_parts(job: JobSettings, public: Path | None, trainable: Trainable, embed: Embed) -> dict[str, Any]:
    """What the public phase trains on and is measured by."""
    if job.public is None:
        return {}
    if public is None:
        raise BadRequestError("The job has a public phase.", "Give its examples with --public, or leave out [public].")
    parts = split(read_examples(public))
    held_out = (parts.held_out or parts.validation)[: job.evaluation.max_examples]
    return {
        "public": trainable.prepare(parts.train, job.objective, embed(parts.train)),
        "public_validation": trainable.prepare(held_out, job.objective, embed(held_out)),
    }


def write_adaptation(simulated: Simulated, path: Path) -> None:
    """Writes the safetensors file."""
    write_atomic(path, save_adaptation(simulated.adaptation))


def _deal(examples: Sequence[Example], num_nodes: int, seed: int) -> dict[str, list[Example]]:
    """Whole groups, in an order that follows from the seed, one node after the other."""
    groups: dict[str, list[Example]] = {}
    for example in examples:
        key = example.group or "\0".join(example.passages) or example.example_id
        groups.setdefault(key, []).append(example)
    if len(groups) < num_nodes:
        raise BadRequestError(f"{len(groups)} groups of examples cannot be dealt to {num_nodes} nodes.", "Use fewer.")
    nodes: dict[str, list[Example]] = {f"node-{number}": [] for number in range(num_nodes)}
    for place, key in enumerate(sorted(groups, key=lambda key: derive_seed(seed, "deal", key))):
        nodes[f"node-{place % num_nodes}"] += groups[key]
    return nodes


def _embedder(trainable: Trainable, threads: int) -> tuple[Embed, int, str]:
    """Question vectors, their width and the embedder's fingerprint, where the method reads them."""
    if not trainable.method.reads_vectors:
        return lambda _examples: None, 0, ""
    from frag.settings import ModelSettings
    from server.node.assembly import load_embedder

    embedder = load_embedder(ModelSettings(threads=threads))
    return (
        lambda examples: list(embedder.embed([example.question for example in examples])),
        embedder.dimension,
        embedder.fingerprint,
    )
