"""The node's policy in sentences, for people who do not read TOML."""

from collections.abc import Iterator

from frag.settings import NodeSettings
from frag.types import AnswerMode

_MODES = {
    AnswerMode.NONE: "as they are written, unfiltered: for public documents only",
    AnswerMode.SCRUB: "with personal data masked and copied passages cut",
    AnswerMode.CONSENSUS: "filtered in the same way, and shown to the asker only where enough operators say the same",
    AnswerMode.DP: "under differential privacy",
}


def in_words(settings: NodeSettings) -> list[str]:
    """One sentence a rule."""
    return [*_collections(settings), *_answers(settings), *_training(settings), *_others(settings)]


def _collections(settings: NodeSettings) -> Iterator[str]:
    for collection in settings.collections:
        modes = collection.modes_under(settings.policy)
        if not modes:
            yield f"{collection.name}: answers no question."
        for mode in modes:
            yield f"{collection.name}: answers leave {_MODES[mode]} (mode {mode})."
    if not settings.collections:
        yield "There is no collection, so there is nothing to answer from."


def _answers(settings: NodeSettings) -> Iterator[str]:
    policy = settings.policy
    modes = {mode for collection in settings.collections for mode in collection.modes_under(policy)}
    if modes & {AnswerMode.SCRUB, AnswerMode.CONSENSUS}:
        yield f"In the modes that filter, no run of {policy.verbatim_limit_tokens} or more words of a passage leaves."
        kinds = ", ".join(_name(kind) for kind in policy.entity_types)
        yield f"In the modes that filter, these are masked, as far as they are recognised: {kinds}."
    if modes - {AnswerMode.DP}:
        yield f"Nothing is said where the best passage has a cosine below {policy.min_evidence:g} with the question."
        yield "Sources leave as pseudonyms." if policy.cite == "alias" else "No sources are named."
    if AnswerMode.DP in modes:
        budget = policy.dp
        yield (
            f"Mode dp: a unit's budget for its whole life is ε = {budget.epsilon:g} (δ = {budget.delta:g}), enough for "
            f"{budget.questions} answers that it takes part in."
        )
    yield f"At most {policy.questions_per_minute} questions a minute are answered."
    if policy.askers:
        yield f"Sealed questions are answered to {len(policy.askers)} named askers only."


def _training(settings: NodeSettings) -> Iterator[str]:
    policy = settings.policy
    if not policy.training:
        yield "No training job may use this node's data sets."
        return
    kinds = (
        "only jobs that protect each unit" if policy.training_privacy == "record" else "jobs with or without privacy"
    )
    yield f"Training: {kinds}; updates are put together in the ways {', '.join(policy.aggregation)}."
    if policy.training_privacy != "record" and {"plain", "robust"} & set(policy.aggregation):
        yield "How many examples each data set holds is told."
    yield f"All private jobs on one data set may cost ε = {policy.training_epsilon:g} together."


def _others(settings: NodeSettings) -> Iterator[str]:
    if settings.routing.publish:
        yield (
            f"How many documents are near each of 64 public topics is published every {settings.routing.every_h:g} h, "
            f"with Gaussian noise of σ = {settings.routing.noise_sd:g}."
        )
    if settings.drift.tell:
        yield "Whether open questions and documents change is told as a number and a flag; nothing of mode dp is."
    who = "the signed roster" if settings.roster else "the coordinator"
    yield f"Who the other nodes are is believed from {who}."


def _name(kind: str) -> str:
    return kind.lower().replace("_", " ")
