"""Puts the desk for feedback together over a node's folder."""

from frag.settings import NodeSettings
from server.node.answering import NodeAnswering
from server.node.datasets import Datasets
from server.node.feedback.accepting import Acceptance
from server.node.feedback.desk import FeedbackDesk
from server.node.feedback.quarantine import Quarantine
from server.node.feedback.questions import Questions
from server.node.parts import MayStop
from server.node.policy import NodePolicy
from server.node.state import NodeFolder
from server.node.training.forgetting import TrainingMemory
from server.sealed.keys import SealingKeys


def open_feedback(
    folder: NodeFolder,
    settings: NodeSettings,
    answering: NodeAnswering,
    keys: SealingKeys,
    memory: TrainingMemory,
    gate: MayStop,
) -> FeedbackDesk | None:
    """The desk, and answers that are remembered for it; None where the node writes none or does not train. Blocking.

    Raises:
        SettingsError: Its file cannot be used.
    """
    if answering.worker is None or not settings.policy.training or not settings.feedback.keep_days:
        return None
    quarantine = Quarantine(folder.feedback, settings.feedback)
    private = NodePolicy(settings.policy, settings.collections).under_dp()
    desk = FeedbackDesk(
        node_id=settings.node_id,
        keys=keys.in_force,
        questions=Questions(folder.feedback, settings.feedback.keep_days),
        quarantine=quarantine,
        acceptance=Acceptance(
            settings=settings.feedback,
            quarantine=quarantine,
            datasets=Datasets(folder.datasets),
            memory=memory,
            indices=answering.indices,
            collections={c.name: c for c in settings.collections if c.name not in private},
        ),
        gate=gate,
    )
    answering.remembers = desk
    memory.on_forget.append(desk.acceptance.forget)
    return desk
