"""What a run of a standing job starts from: the live version, or fresh weights that change nothing yet."""

from frag.types import Adaptation
from prompt_tuning.job import JobSettings

_CHANGES_NOTHING = frozenset({"lora", "full"})
"""Methods whose first weights are the model as it is."""


def unfit_to_start(job: JobSettings, live: Adaptation | None) -> str:
    """Why a run cannot go on from what is live, for people; empty when it can.

    Args:
        job: The standing job.
        live: The live version; None for the model as it is.
    """
    if live is None:
        if job.method.kind in _CHANGES_NOTHING:
            return ""
        return f"the model as it is, is live, and a {job.method.kind} cannot start from it: promote a version first"
    settings = job.method.model_dump(mode="json", exclude={"kind", "place", "candidates"})
    if (live.method, live.place, dict(live.settings)) != (job.method.kind, job.method.place, settings):
        return f"the live version {live.version} is of another method or settings than the job's {job.method.kind}"
    if live.template != job.template:
        return f"the live version {live.version} goes with another instruction than the job's"
    return ""
