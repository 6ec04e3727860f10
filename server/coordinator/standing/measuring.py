"""What the nodes measure of a run's candidate beside the version that it would replace."""

from collections.abc import Mapping

from prompt_tuning.gate import pooled
from prompt_tuning.strategies import ServerState
from server.coordinator.training.participants import Participants

_LIVE = "live_"


async def measured(participants: Participants, live: ServerState, candidate: ServerState) -> dict[str, float]:
    """`f1_old`, `n_old`, `f1_new`, `n_new` of the candidate, and the same of the live version with `live_` before.

    Only nodes that measured both count, so that the same examples stand behind both.

    Args:
        participants: The nodes of the run.
        live: The weights that the run started from.
        candidate: Those that it ended in.
    """
    of_live = await participants.replies(live)
    of_candidate = await participants.replies(candidate)
    nodes = sorted(of_live.keys() & of_candidate.keys())
    limit = participants.job.evaluation.max_examples
    before = pooled([of_live[node] for node in nodes], limit)
    after = pooled([of_candidate[node] for node in nodes], limit)
    return after | {f"{_LIVE}{name}": value for name, value in before.items()}


def sides(metrics: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """(live, candidate) as `prompt_tuning.gate.judge` takes them."""
    live = {name.removeprefix(_LIVE): value for name, value in metrics.items() if name.startswith(_LIVE)}
    return live, {name: value for name, value in metrics.items() if not name.startswith(_LIVE)}
