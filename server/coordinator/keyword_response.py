"""What an answer by keywords says: the keywords, what each node claims, and what is promised, in plain words."""

import msgspec

from frag.privacy.keywords import KeywordRule, Keywords
from frag.types import AnswerMode
from server.coordinator.answer_views import AnsweredView, QueryResponse
from server.wire.messages import KeywordTerms


class KeywordView(msgspec.Struct, frozen=True):
    """`votes` is noisy."""

    word: str
    votes: float


class KeywordResponse(QueryResponse, frozen=True, kw_only=True):
    """`noisy_count` is of units that voted, `noise_deviation` that of every figure here. Without documents, `answer`
    is the language model's own, and null where there is none."""

    keywords: list[KeywordView]
    noisy_count: float
    noise_deviation: float
    documents_used: bool


def promise(keywords: Keywords, rule: KeywordRule, terms: dict[str, KeywordTerms]) -> str:
    """What the asker and the units may count on, in plain words."""
    epsilon, delta = max(item.epsilon for item in terms.values()), max(item.delta for item in terms.values())
    believing = sorted(name for name, item in terms.items() if not item.is_pinned)
    trust = (
        f"The nodes {', '.join(believing)} pin no roster, so it holds against an honest-but-curious coordinator only."
        if believing
        else "Every node checked its peers against a signed roster."
    )
    if not keywords.enough:
        used = f"Too few units voted (fewer than {rule.min_count:g}, counted with noise): no documents were used. "
    elif not keywords.found:
        used = "No keyword stood out of the noise: no documents were used. "
    else:
        used = ""
    return (
        f"{used}All answers of a node together tell of one unit at that node no more than ε = {epsilon:g} at "
        f"δ = {delta:g} allow. For keywords this rests on noise that every node adds a part of, and holds while at "
        f"most {rule.colluders} of {rule.num_nodes} nodes work with the coordinator. {trust} Timing is not covered."
    )


def answered(name: str, terms: KeywordTerms, *, used: bool) -> AnsweredView:
    return AnsweredView(
        node=name,
        answer="",
        contributed=used,
        answer_mode=AnswerMode.DP,
        score=0.0,
        token_logprob=0.0,
        prompt_version="",
        redactions={},
        citations=[],
        timings={},
        epsilon=terms.epsilon,
        delta=terms.delta,
    )
