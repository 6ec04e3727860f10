"""How labelled examples fall to nodes: by their natural silos, evenly, or skewed by Dirichlet draws."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from frag.errors import BadRequestError
from prompt_tuning.dataset import Example

_DIRICHLET = re.compile(r"dirichlet:(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A task: training examples by natural silo, test examples that no node trains on, and how it is scored."""

    name: str
    silos: Mapping[str, Sequence[Example]]
    test: Sequence[Example]
    measure: str
    """`token_f1`, or `accuracy` where answers are labels."""
    instruction: str = ""


def partition(task: Labelled, kind: str, num_nodes: int, seed: int) -> dict[str, list[Example]]:
    """Training examples of every node.

    `natural` merges whole silos, `iid` deals examples out evenly, `dirichlet:ALPHA` draws each silo's shares over the
    nodes (Hsu et al. 2019, §3.1: the lower α, the more skewed). Examples of one group stay together.

    Raises:
        BadRequestError: `kind` is unknown, or a node would have no example.
    """
    names = [f"node-{number}" for number in range(num_nodes)]
    random = np.random.default_rng([seed, num_nodes])
    if kind == "natural":
        parts = _natural(task.silos, names)
    elif kind == "iid":
        parts = _iid(task.silos, names, random)
    elif match := _DIRICHLET.fullmatch(kind):
        parts = _dirichlet(task.silos, names, float(match[1]), random)
    else:
        raise BadRequestError(f"Unknown partition {kind!r}.", "Use natural, iid or dirichlet:ALPHA.")
    if empty := [name for name, examples in parts.items() if not examples]:
        raise BadRequestError(f"{len(empty)} of {num_nodes} nodes would have no example.", "Use fewer nodes.")
    return parts


def _natural(silos: Mapping[str, Sequence[Example]], names: Sequence[str]) -> dict[str, list[Example]]:
    """Each silo, largest first, goes to the node with the fewest examples so far."""
    parts: dict[str, list[Example]] = {name: [] for name in names}
    for silo in sorted(silos, key=lambda key: (-len(silos[key]), key)):
        smallest = min(names, key=lambda name: (len(parts[name]), name))
        parts[smallest] += silos[silo]
    return parts


def _iid(
    silos: Mapping[str, Sequence[Example]], names: Sequence[str], random: np.random.Generator
) -> dict[str, list[Example]]:
    groups = [group for examples in silos.values() for group in _groups(examples)]
    parts: dict[str, list[Example]] = {name: [] for name in names}
    for place, index in enumerate(random.permutation(len(groups))):
        parts[names[place % len(names)]] += groups[index]
    return parts


def _dirichlet(
    silos: Mapping[str, Sequence[Example]], names: Sequence[str], alpha: float, random: np.random.Generator
) -> dict[str, list[Example]]:
    parts: dict[str, list[Example]] = {name: [] for name in names}
    for silo in sorted(silos):
        shares = random.dirichlet([alpha] * len(names))
        for group in _groups(silos[silo]):
            parts[names[int(random.choice(len(names), p=shares))]] += group
    return parts


def _groups(examples: Sequence[Example]) -> list[list[Example]]:
    groups: dict[str, list[Example]] = {}
    for example in examples:
        key = example.group or "\0".join(example.passages) or example.example_id
        groups.setdefault(key, []).append(example)
    return list(groups.values())
