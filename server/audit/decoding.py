"""DP decoding against its worst neighbour: a toy model whose one unit votes as hard as it may, and an attacker who
knows everything but whether that unit is there.

The mechanism is the product's own `next_token`, from the operating system's generator, one call a token. Controls are
mechanisms with a known fault under the same claim: an audit that does not catch them proves nothing.

Source: Nasr et al. 2021, "Adversary Instantiation: Lower Bounds for Differentially Private Machine Learning", §4.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from frag.privacy.accounting import DELTA, allowed_clip, rho_within
from frag.privacy.dp_decoding import DecodingRule, Logits, draw, expanded_top_k, mixed_logits, next_token
from frag.protocols import Progress
from server.audit.report import AuditSettings, Outcome, Report, verdict
from server.audit.statistics import Scores, epsilon_lower_bound

VOCABULARY = 16
NUM_TOKENS = 8
NUM_OTHERS = 3
CLAIMS = (1.0, 8.0)
Mechanism = Callable[[Logits, Logits, DecodingRule], int]


def rule_for(epsilon: float) -> DecodingRule:
    """The rule whose one answer costs ε, by the product's accounting."""
    clip = allowed_clip(rho_within(epsilon), 8, 1.1, NUM_TOKENS)
    return DecodingRule(clip=clip, references=8, temperature=1.1, top_k=VOCABULARY, num_tokens=NUM_TOKENS)


def divided_by_count(public: Logits, references: Logits, rule: DecodingRule) -> int:
    """Fault: the mean of the votes, so that one unit's weight depends on how many others there are."""
    votes = np.clip(references - public, -rule.clip, rule.clip).sum(axis=0) / max(1, len(references))
    return draw(np.where(expanded_top_k(public, rule), public + votes, -np.inf), rule.temperature)


def unclipped(public: Logits, references: Logits, rule: DecodingRule) -> int:
    """Fault: a unit says what it likes."""
    return next_token(public, references, replace(rule, clip=1e6))


def quarter_noise(public: Logits, references: Logits, rule: DecodingRule) -> int:
    """Fault: four times the clip is used and the smaller one charged, which is a quarter of the noise."""
    return next_token(public, references, replace(rule, clip=4 * rule.clip))


def private_top_k(public: Logits, references: Logits, rule: DecodingRule) -> int:
    """Fault: the candidates are the largest of the mixed logits, so a unit decides who is among them."""
    mixed = mixed_logits(public, references, replace(rule, top_k=VOCABULARY))
    least = np.partition(mixed, -VOCABULARY // 2)[-VOCABULARY // 2]
    return draw(np.where(mixed >= least, mixed, -np.inf), rule.temperature)


class Control(NamedTuple):
    """A fault. Other units would hide the one when votes are divided by their number; `effort` multiplies the runs."""

    mechanism: Mechanism
    with_others: bool = True
    effort: int = 1


CONTROLS: Mapping[str, Control] = {
    "divide by |R|": Control(divided_by_count, with_others=False),
    "no clip": Control(unclipped),
    "noise / 4": Control(quarter_noise, effort=6),
    "private top-k": Control(private_top_k),
}


def run(settings: AuditSettings, progress: Progress) -> Report:
    """Every claim, then every control under the smallest claim."""
    num_runs, num_control_runs = (2_000, 1_500) if settings.quick else (100_000, 10_000)
    total = len(CLAIMS) + len(CONTROLS)
    outcomes = []
    for done, epsilon in enumerate(CLAIMS):
        progress(done, total)
        outcomes.append(_of_claim(epsilon, num_runs))
    for done, name in enumerate(CONTROLS, len(CLAIMS)):
        progress(done, total)
        outcomes.append(_of_control(name, num_control_runs))
    notes = [
        f"{NUM_TOKENS} tokens an answer; half of the runs choose the event, half count it",
        "the bound is a lower one: far below the claim, this attack is weak or accounting by zCDP is generous",
    ]
    return Report(attack="decoding", outcomes=outcomes, notes=notes)


def _of_claim(epsilon: float, num_runs: int) -> Outcome:
    bound = audited(next_token, epsilon, num_runs, with_others=True)
    return Outcome(
        mode=f"dp ε={epsilon:g}",
        figures={"epsilon_lower_bound": bound, "epsilon_claimed": epsilon, "runs": float(2 * num_runs)},
        claim=f"({epsilon:g}, {DELTA:g})-DP for one unit",
        verdict=verdict(held=bound <= epsilon),
    )


def _of_control(name: str, num_runs: int) -> Outcome:
    control, epsilon = CONTROLS[name], min(CLAIMS)
    num_runs *= control.effort
    bound = audited(control.mechanism, epsilon, num_runs, with_others=control.with_others)
    return Outcome(
        mode=f"control: {name}",
        figures={"epsilon_lower_bound": bound, "epsilon_claimed": epsilon, "runs": float(2 * num_runs)},
        claim="the audit catches this fault",
        verdict=verdict(held=bound > epsilon),
    )


def audited(mechanism: Mechanism, epsilon: float, num_runs: int, *, with_others: bool) -> float:
    """Lower bound of ε at 95 % from `num_runs` answers with the unit and as many without it."""
    rule, public = rule_for(epsilon), np.zeros(VOCABULARY)
    # a unit that lifts half of the tokens and presses the other half moves the odds of the halves as far as it can
    unit = np.where(np.arange(VOCABULARY) < VOCABULARY // 2, 50.0, -50.0)
    others = np.zeros((NUM_OTHERS if with_others else 0, VOCABULARY))
    inside = _scores(mechanism, public, np.vstack([others, unit]), rule, num_runs)
    return epsilon_lower_bound(inside, _scores(mechanism, public, others, rule, num_runs), DELTA)


def _scores(mechanism: Mechanism, public: Logits, references: Logits, rule: DecodingRule, num_runs: int) -> Scores:
    """Tokens of the lifted half in each answer: the likelihood ratio, up to a monotone function."""
    answers = np.fromiter(
        (mechanism(public, references, rule) for _ in range(num_runs * rule.num_tokens)), np.int64
    ).reshape(num_runs, rule.num_tokens)
    scores: Scores = (answers < VOCABULARY // 2).sum(axis=1).astype(np.float64)
    return scores
