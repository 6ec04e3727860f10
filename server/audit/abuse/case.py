"""One attempt against the product's code."""

from collections.abc import Callable
from typing import NamedTuple

from frag.errors import FragError


class Case(NamedTuple):
    """`attempt` raises the product's refusal, or does what it should not. `honest` ones must go through instead."""

    name: str
    attempt: Callable[[], object]
    honest: bool = False


def is_refused(case: Case) -> bool:
    """Any other exception than a refusal is a crash, and goes on to the caller."""
    try:
        case.attempt()
    except FragError:
        return True
    return False
