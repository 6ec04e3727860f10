"""What each answer mode promises, in words that an asker can be shown. Never more than the mechanism gives."""

from typing import assert_never

from frag.types import AnswerMode


def promise_of(mode: AnswerMode, *, epsilon: float | None = None, delta: float | None = None) -> str:
    """One or two sentences.

    Args:
        mode: In which the answer was given.
        epsilon: In mode `dp`, the bound that the node states; None where it states none.
        delta: Likewise.
    """
    match mode:
        case AnswerMode.NONE:
            return "Nothing was filtered: for public documents."
        case AnswerMode.SCRUB:
            return (
                "Identifiers of the types that a node's policy lists are masked, most of them, and no run of words "
                "beyond its limit is copied. "
                "A filter, not differential privacy."
            )
        case AnswerMode.CONSENSUS:
            return (
                "Only what several operators say came out. A heuristic towards the asker, while the coordinator reads "
                "every answer; not differential privacy."
            )
        case AnswerMode.DP:
            if epsilon is None:
                return "The node states no bound."
            return (
                f"(ε, δ)-differential privacy for one unit of this node, over all its answers together: "
                f"ε = {epsilon:g}, δ = {delta or 0:g}. How long the answer took is not covered. "
                "An answer may rest on no document at all, once budgets are spent or where nothing is "
                "near; which it was is not told."
            )
        case _:
            assert_never(mode)
