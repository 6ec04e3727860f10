"""What a job with a privacy claim costs, as its version and its reports tell it."""

from collections.abc import Mapping, Sequence

from frag.errors import LedgerError
from prompt_tuning.client_privacy import ClientPlan
from prompt_tuning.job import JobSettings
from prompt_tuning.privacy import ClientPrivacySettings, RecordPrivacySettings
from prompt_tuning.private_training import planned_epsilon


def rounds_allowed(job: JobSettings) -> int:
    """Rounds that the job may play. Takes up to seconds. Raises LedgerError when its budget allows none."""
    if not isinstance(job.privacy, ClientPrivacySettings):
        return job.rounds.number
    allowed = ClientPlan.of(job).rounds_within(job.rounds.number)
    if not allowed:
        raise LedgerError(
            f"One round costs more than ε = {job.privacy.max_epsilon:g}.", "Use more noise or fewer nodes a round."
        )
    return allowed


def check_budget(job: JobSettings) -> None:
    """Raises LedgerError when the job is over its budget as far as that can be seen before nodes are asked."""
    rounds_allowed(job)
    if isinstance(job.privacy, RecordPrivacySettings) and job.privacy.units:
        planned_epsilon(job, job.privacy.units)


def client_spent(job: JobSettings, rounds: int) -> dict[str, float]:
    """What so many rounds of a client-level job cost.

    `epsilon` holds against those who see the model, `epsilon_sampling_known` also against those who know who took
    part. Against the coordinator, which sees each update, there is none.
    """
    plan = ClientPlan.of(job)
    return {
        "epsilon": plan.epsilon(rounds),
        "epsilon_sampling_known": plan.epsilon(rounds, sampling_known=True),
        "delta": plan.settings.delta,
        "rounds": float(rounds),
    }


def published_claim(job: JobSettings, rounds: int) -> dict[str, float]:
    """ε and δ that a version carries after so many rounds; empty where nothing is claimed. Takes up to seconds.

    At record level that is the job's budget, within which each node has found its own plan: the plan of a node is
    its own affair, the budget is public.
    """
    if isinstance(job.privacy, RecordPrivacySettings):
        return {"epsilon": job.privacy.max_epsilon, "delta": job.privacy.delta}
    return client_spent(job, rounds) if isinstance(job.privacy, ClientPrivacySettings) else {}


def spent_by(job: JobSettings, num_units: Sequence[int]) -> Mapping[str, float]:
    """What a simulated job costs, where the numbers of units of all nodes are known: at record level the worst node.

    Raises:
        LedgerError: It is over the job's budget.
    """
    if isinstance(job.privacy, RecordPrivacySettings):
        return {"epsilon": max(planned_epsilon(job, n) for n in num_units), "delta": job.privacy.delta}
    return client_spent(job, rounds_allowed(job)) if isinstance(job.privacy, ClientPrivacySettings) else {}
