"""Membership under `dp` at ε = 1: the product's token mechanism on recorded logits, with and without one unit."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from frag.policy_settings import DpSettings
from frag.privacy.dp_decoding import DecodingRule, Logits, expanded_top_k, mixed_logits, next_token
from frag.sampling import derive_seed
from frag.settings import ModelSettings
from frag.types import GenerationRequest
from server.audit.report import AuditSettings, Outcome, verdict
from server.audit.statistics import Scores, epsilon_lower_bound, separation, wilson
from server.node.assembly import load_language_model
from server.node.private_answering import decoding_rule

EPSILON = 1.0
NUM_STAGES = 3
_NUM_REFERENCES = 6


class Step(NamedTuple):
    """Logits of one token, of the tokens that can be drawn alone: without a document, and of each reference. The first
    reference is the unit in question."""

    public: Logits
    references: Logits


def outcomes(
    texts: Sequence[str], question: str, settings: AuditSettings, on_stage: Callable[[], None]
) -> list[Outcome]:
    """The mechanism, and a control without clipping."""
    rule = decoding_rule(DpSettings(epsilon=EPSILON, questions=1))
    steps = _toy_steps(rule, settings.seed) if settings.quick else _worst(texts, question, rule, settings)
    on_stage()
    num_runs = 1_000 if settings.quick else 10_000
    found = [_judged(f"dp ε={EPSILON:g}", steps, rule, num_runs, settings.seed, is_control=False)]
    on_stage()
    found.append(_judged("control: no clip, S = 1", steps, unbounded(rule), num_runs, settings.seed, is_control=True))
    on_stage()
    return found


def unbounded(rule: DecodingRule) -> DecodingRule:
    """Fault: a unit says what it likes, with full weight."""
    return replace(rule, clip=1e6, references=1)


def _judged(
    mode: str, steps: Sequence[Step], rule: DecodingRule, num_runs: int, seed: int, *, is_control: bool
) -> Outcome:
    inside, outside = (scores(steps, rule, num_runs, with_unit=side) for side in (True, False))
    # the halves that choose and count must not be told apart by anything
    order = np.random.default_rng(derive_seed(seed, "order")).permutation(num_runs)
    bound = epsilon_lower_bound(inside[order], outside[order], DpSettings().delta)
    found = separation(inside, outside)
    return Outcome(
        mode=mode,
        figures={
            "members": num_runs,
            "others": num_runs,
            "auc": found.auc,
            "tpr at 1 % fpr": found.tpr,
            "epsilon_lower_bound": bound,
            "epsilon_claimed": EPSILON,
        },
        intervals={"tpr at 1 % fpr": wilson(found.num_true, num_runs)},
        claim="the audit catches this fault"
        if is_control
        else f"({EPSILON:g}, {DpSettings().delta:g})-DP for one unit",
        verdict=verdict(held=(bound > EPSILON) is is_control),
    )


def scores(steps: Sequence[Step], rule: DecodingRule, num_runs: int, *, with_unit: bool) -> Scores:
    """Of each answer, ln p(answer | unit) − ln p(answer | no unit), both as the product mixes logits under `rule`."""
    total = np.zeros(num_runs)
    for step in steps:
        references = step.references if with_unit else step.references[1:]
        tokens = np.fromiter((next_token(step.public, references, rule) for _ in range(num_runs)), np.int64)
        total += _log_ratios(step, rule)[tokens]
    return total


def _log_ratios(step: Step, rule: DecodingRule) -> npt.NDArray[np.float64]:
    logs = []
    for references in (step.references, step.references[1:]):
        scaled = mixed_logits(step.public, references, rule) / rule.temperature
        scaled -= scaled.max()
        logs.append(scaled - np.log(np.exp(scaled).sum()))
    # a token outside of the candidates has no chance in either world
    return np.where(np.isfinite(logs[1]), logs[0] - np.where(np.isfinite(logs[1]), logs[1], 0.0), 0.0)


def _worst(texts: Sequence[str], question: str, rule: DecodingRule, settings: AuditSettings) -> list[Step]:
    """Logits of the real model, for the unit of several whose votes move the answer most."""
    from prompt_tuning.language_model import TransformersLanguageModel

    model = load_language_model(ModelSettings(threads=settings.threads))
    if not isinstance(model, TransformersLanguageModel):
        raise TypeError(f"{model.name} shows no logits")
    steps = recorded(model, texts[:_NUM_REFERENCES], question, rule)
    turned = [
        [Step(step.public, np.roll(step.references, -shift, axis=0)) for step in steps]
        for shift in range(_NUM_REFERENCES)
    ]
    return max(turned, key=lambda candidate: sum(np.abs(_log_ratios(step, rule)).mean() for step in candidate))


def recorded(model: object, texts: Sequence[str], question: str, rule: DecodingRule) -> list[Step]:
    """Logits along one answer that all of `texts` take part in, by the product's private decoder."""
    from prompt_tuning.decoding import GreedyDecoder
    from prompt_tuning.language_model import TransformersLanguageModel
    from prompt_tuning.private_decoding import PrivateDecoder

    if not isinstance(model, TransformersLanguageModel):
        raise TypeError("this model shows no logits")
    steps: list[Step] = []

    def choose(public: Logits, references: Logits, rule: DecodingRule) -> int:
        # only candidates can be drawn, and they depend on public values alone
        kept = np.flatnonzero(expanded_top_k(public, rule))
        steps.append(Step(public[kept], references[:, kept]))
        return next_token(public, references, rule)

    alone = GenerationRequest(question=question)
    public = model.layout.lay_out(alone, model.max_context_tokens - rule.num_tokens - rule.passage_tokens)
    room = public.num_tokens + rule.passage_tokens
    prompts = [model.layout.lay_out(GenerationRequest(question=question, passages=(text,)), room) for text in texts]
    PrivateDecoder(model.forward, GreedyDecoder(model.forward, ()), (), rule, choose).decode(public, prompts)
    return steps


def _toy_steps(rule: DecodingRule, seed: int) -> list[Step]:
    """Stand-ins for recorded logits: references that differ from the public ones by more than the clip."""
    draw = np.random.default_rng(derive_seed(seed, "logits"))
    publics = [np.sort(draw.normal(0, 3, 100)) for _ in range(rule.num_tokens)]
    return [Step(public, public + draw.normal(0, 5, (_NUM_REFERENCES, 100))) for public in publics]
