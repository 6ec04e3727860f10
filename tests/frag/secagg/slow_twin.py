"""Secure aggregation as its idea alone, slowly: masks that cancel, and none of the ways to do it at a distance."""

import random
from collections.abc import Mapping, Sequence

import numpy as np

from frag.secagg.ring import RingArray

_MODULUS = 2**32


def slow_sum(vectors: Mapping[str, RingArray], everybody: Sequence[str], survivors: Sequence[str]) -> RingArray:
    """Every pair shares a mask that one adds and the other subtracts; those with the dropped are taken off again."""
    length = len(next(iter(vectors.values())))
    pair = {
        frozenset((a, b)): [random.randrange(_MODULUS) for _ in range(length)]
        for a in everybody
        for b in everybody
        if a != b
    }
    own = {name: [random.randrange(_MODULUS) for _ in range(length)] for name in everybody}
    sent = {}
    for name in survivors:
        masked = [int(entry) for entry in vectors[name]]
        for place in range(length):
            masked[place] += own[name][place]
            for other in everybody:
                if other != name:
                    masked[place] += (1 if name < other else -1) * pair[frozenset((name, other))][place]
        sent[name] = masked
    total = [sum(masked[place] for masked in sent.values()) for place in range(length)]
    for place in range(length):
        total[place] -= sum(own[name][place] for name in survivors)
        for name in survivors:
            for other in set(everybody) - set(survivors):
                total[place] -= (1 if name < other else -1) * pair[frozenset((name, other))][place]
    return np.array([entry % _MODULUS for entry in total], np.uint32)
