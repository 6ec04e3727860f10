"""The public-data phase: passes over public examples while validation improves, then the nodes' turn.

Source: Yu, Muñoz and Jannesari 2023, "Federated Foundation Models", Algorithm 2, lines 4 and 5, and the adaptive switch
of its §"FFM pre-training".
"""

from dataclasses import replace

from frag.updates import Weights
from prompt_tuning.job import ContextSettings, JobSettings, PublicSettings, UpdateSettings
from prompt_tuning.privacy import NoPrivacySettings
from prompt_tuning.robust import PlainSettings
from prompt_tuning.strategies import ServerState

PUBLIC_NODE = "public"


class PublicPasses:
    """The adaptive switch before one round: keeps the best weights, and says when the nodes' turn has come.

    Args:
        settings: Of the phase.
        state: Before the round.
        loss: Of `state` on the public held-out share, in nats a token.
    """

    def __init__(self, settings: PublicSettings, state: ServerState, loss: float) -> None:
        self._settings = settings
        self.state = state
        self.loss = loss
        self.num_passes = 0
        self._improves = True

    @property
    def goes_on(self) -> bool:
        """Whether another central pass follows."""
        return self._improves and self.num_passes < self._settings.max_passes

    def offer(self, state: ServerState, loss: float) -> None:
        """Weights after one more pass. Worse ones are dropped."""
        self._improves = self.loss - loss > self._settings.margin * self.loss
        self.num_passes += 1
        if loss < self.loss:
            self.state, self.loss = state, loss

    def metrics(self) -> dict[str, float]:
        """Of the weights that the nodes get."""
        return {"public_loss": self.loss, "public_passes": float(self.num_passes)}


def public_job(job: JobSettings) -> JobSettings:
    """The job for the public examples: their own passages, their own steps; nothing is rounded or hidden."""
    if job.public is None:
        raise ValueError("the job has no public phase")
    source = "none" if job.context.source == "none" else "given"
    return job.model_copy(
        update={
            "dataset": job.public.dataset,
            "local": job.local.model_copy(update={"steps": job.public.steps}),
            "context": ContextSettings(source=source, num_passages=job.context.num_passages),
            "update": UpdateSettings(),
            "aggregation": PlainSettings(),
            "privacy": NoPrivacySettings(),
            "standing": None,
        }
    )


def pass_name(num_passes: int) -> str:
    """Stands for a node in the seed of a pass, so that each sees other batches."""
    return f"{PUBLIC_NODE}-{num_passes}"


def moved(state: ServerState, delta: Weights) -> ServerState:
    """The state with weights + delta: what travels is a difference, so the simulation adds one too."""
    return replace(state, weights={name: value + delta[name] for name, value in state.weights.items()})
