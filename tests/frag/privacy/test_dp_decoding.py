"""The mechanism of one token: hand-computed votes, what one unit can move, and an audit that catches what is broken."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.errors import SettingsError
from frag.privacy.accounting import decoding_rho
from frag.privacy.dp_decoding import DecodingRule, Logits, draw, expanded_top_k, from_system, mixed_logits, next_token

RULE = DecodingRule(clip=2.0, references=4, temperature=1.0, top_k=3, num_tokens=8)


def test_votes_are_clipped_and_divided_by_the_public_number() -> None:
    public = np.array([1.0, 0.0, -1.0])
    references = np.array([[4.0, 0.0, -1.0], [1.0, 1.0, -9.0]])
    # clipped differences: (2, 0, 0) and (0, 1, -2), over S = 4 though there are two references
    np.testing.assert_allclose(mixed_logits(public, references, RULE), [1.5, 0.25, -1.5])


def test_no_reference_gives_the_public_logits() -> None:
    public = np.array([1.0, 0.0, -1.0])
    np.testing.assert_allclose(mixed_logits(public, np.empty((0, 3)), RULE), public)


def test_what_can_be_drawn_follows_from_public_values_alone() -> None:
    public = np.array([5.0, 4.0, 3.0, 2.1, 1.9])
    # the third largest is 3; 2 C / S = 1
    assert expanded_top_k(public, RULE).tolist() == [True, True, True, True, False]


@given(st.integers(0, 2**32 - 1), st.integers(0, 12))
def test_one_unit_moves_a_logit_by_at_most_c_over_s(seed: int, units: int) -> None:
    numbers = np.random.default_rng(seed)
    public = numbers.normal(0, 5, 20)
    references = numbers.normal(0, 50, (units, 20))
    more = np.vstack([references, numbers.normal(0, 500, 20)])
    one, other = mixed_logits(public, references, RULE), mixed_logits(public, more, RULE)
    drawn = np.isfinite(one)
    assert (drawn == np.isfinite(other)).all()
    assert np.abs(one[drawn] - other[drawn]).max() <= RULE.clip / RULE.references + 1e-9


def test_tokens_are_drawn_with_the_probabilities_of_the_softmax() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2]))
    uniform = random.Random(0).random
    counts = np.bincount([draw(logits, 1.0, uniform) for _ in range(20_000)], minlength=3) / 20_000
    np.testing.assert_allclose(counts, [0.5, 0.3, 0.2], atol=0.015)
    assert draw(np.array([0.0, -np.inf]), 1.0, lambda: 1 - 2**-53) == 0
    assert 0 <= from_system() < 1


def test_the_price_is_that_of_the_rule() -> None:
    assert RULE.rho == decoding_rho(2.0, 4, 1.0, 8)
    with pytest.raises(SettingsError):
        DecodingRule(clip=0.0, references=4)


def _privacy_loss(mechanism: object, public: Logits, references: Logits, unit: Logits, runs: int) -> float:
    """Lower bound of ε with 95 % confidence (Clopper-Pearson), by how often the unit's own token is drawn."""
    from scipy.stats import beta

    uniform = random.Random(1).random
    hits = [
        sum(mechanism(public, rows, uniform) == 0 for _ in range(runs))  # type: ignore[operator]
        for rows in (np.vstack([references, unit]), references)
    ]
    low = beta.ppf(0.025, hits[0], runs - hits[0] + 1)
    high = beta.ppf(0.975, hits[1] + 1, runs - hits[1])
    return float(math.log(low / high))


def test_an_audit_finds_no_more_than_is_claimed_and_catches_what_is_broken() -> None:
    """A quick twin of the audit: one token, pure ε = 2 C / (S τ) bounds any event."""
    public, unit = np.zeros(4), np.array([50.0, -50.0, -50.0, -50.0])
    references = np.zeros((3, 4))
    claimed = 2 * RULE.clip / RULE.references / RULE.temperature

    def right(z: Logits, rows: Logits, uniform: object) -> int:
        return next_token(z, rows, RULE, uniform)  # type: ignore[arg-type]

    def divides_by_what_it_found(z: Logits, rows: Logits, uniform: object) -> int:
        votes = np.clip(rows - z, -8.0, 8.0).sum(axis=0) / max(1, len(rows))
        return draw(z + votes, RULE.temperature, uniform)  # type: ignore[arg-type]

    def does_not_clip(z: Logits, rows: Logits, uniform: object) -> int:
        return draw(z + (rows - z).sum(axis=0) / RULE.references, RULE.temperature, uniform)  # type: ignore[arg-type]

    assert _privacy_loss(right, public, references, unit, 10_000) <= claimed
    assert _privacy_loss(does_not_clip, public, references, unit, 10_000) > claimed
    assert _privacy_loss(divides_by_what_it_found, public, np.empty((0, 4)), unit, 10_000) > claimed
