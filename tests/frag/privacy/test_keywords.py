"""Keywords: the rule by hand, what one unit can change, and the secure sum against its slow twin."""

import math
import random
from collections.abc import Mapping

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from frag.errors import SettingsError
from frag.privacy.accounting import rho_within
from frag.privacy.keywords import KeywordRule, choose_candidates, decode, noised, rule_within, tally, votes_of
from frag.secagg import Aggregator, Parameters, Participant
from frag.secagg.ring import RingArray

WORDS = [f"{a}a{b}o" for a in "bcdfgh" for b in "klmnpt"]


def test_the_rule_by_hand() -> None:
    rule = KeywordRule(noise_multiplier=2.0, num_nodes=4, colluders=1)
    assert rule.rho == 1 / 8
    assert rule.min_survivors == 3
    assert rule.sensitivity == math.sqrt(11)
    # σ²Δ² / (3 − 1) = 22 votes²: 4 steps a vote bring the deviation to 18.8 ≥ 16
    assert rule.scale == 4
    assert rule.local_variance == 352
    assert rule.deviation(4) == math.sqrt(4 * 352) / 4


@given(noise=st.floats(0.02, 1000), nodes=st.integers(3, 100), colluders=st.integers(0, 66), votes=st.integers(1, 100))
def test_whoever_may_be_left_adds_noise_enough(noise: float, nodes: int, colluders: int, votes: int) -> None:
    least = max(3, 2 * nodes // 3 + 1)
    if least - colluders < 1:
        with pytest.raises(SettingsError, match="collude"):
            KeywordRule(noise_multiplier=noise, num_nodes=nodes, colluders=colluders, max_votes=votes)
        return
    rule = KeywordRule(noise_multiplier=noise, num_nodes=nodes, colluders=colluders, max_votes=votes)
    honest = (least - colluders) * rule.local_variance
    assert honest >= (noise * rule.scale) ** 2 * (votes + 1) * (1 - 1e-12)
    assert rule.local_variance >= 16**2
    assert nodes * (rule.max_units * rule.scale + 20 * math.sqrt(rule.local_variance)) < 2**31, "no sum wraps around"


@pytest.mark.parametrize(("epsilon", "questions"), [(4.0, 1), (4.0, 10), (8.0, 10), (1.0, 3)])
def test_so_many_sums_cost_no_more_than_the_budget(epsilon: float, questions: int) -> None:
    budget = rho_within(epsilon)
    rule = rule_within(budget / questions, num_nodes=5)
    assert budget * (1 - 1e-6) < questions * rule.rho <= budget


def test_too_few_nodes_are_refused() -> None:
    with pytest.raises(SettingsError):
        KeywordRule(noise_multiplier=1, num_nodes=2, colluders=0)


def test_candidates_are_the_answers_words_then_the_lexicon_then_the_questions() -> None:
    found = choose_candidates(
        "Where does the porter keep the keys?",
        "The porter keeps them in the cellar.",
        ["cellars", "door", "key", "oak"],
    )
    assert found == (("cellar", "door", "oak", "porter", "keep", "keys"), 3)
    assert choose_candidates("Keys?", "", WORDS, limit=8) == ((*WORDS[:7], "keys"), 1)


def test_a_unit_votes_for_the_first_that_it_mentions() -> None:
    stems = ["cellar", "door", "oak"]
    assert votes_of("Oaks and DOORS; no more.", stems, 10) == [1, 2]
    assert votes_of("oak door cellar door", stems, 2) == [0, 1]
    assert votes_of("", stems, 10) == []


@given(
    texts=st.lists(st.lists(st.sampled_from(WORDS)).map(" ".join), max_size=6),
    more=st.lists(st.sampled_from(WORDS)).map(" ".join),
)
def test_one_unit_more_moves_the_votes_by_no_more_than_the_sensitivity(texts: list[str], more: str) -> None:
    rule = KeywordRule(noise_multiplier=1, num_nodes=3)
    without, with_it = tally(texts, WORDS, rule), tally([*texts, more], WORDS, rule)
    assert np.linalg.norm(with_it - without) <= rule.sensitivity
    assert (with_it - without)[-1] == 1
    silent = [noised(votes, rule, lambda _variance: 0).astype(np.int64) for votes in (without, with_it)]
    assert np.linalg.norm(silent[1] - silent[0]) <= rule.sensitivity * rule.scale


def test_more_units_than_the_ring_can_hold_change_nothing() -> None:
    rule = KeywordRule(noise_multiplier=1, num_nodes=3)
    full = np.array([rule.max_units, rule.max_units + 5])
    assert len(set(noised(full, rule, lambda _variance: 0))) == 1


def summed(vectors: Mapping[str, RingArray], gone: str) -> RingArray:
    """The protocol whole; `gone` drops out after its shares."""
    parameters = Parameters(session="keywords/1", num_nodes=len(vectors), length=len(next(iter(vectors.values()))))
    keys = {name: Ed25519PrivateKey.generate() for name in vectors}
    public = {name: key.public_key().public_bytes_raw() for name, key in keys.items()}
    nodes = {name: Participant(name, key, public, parameters) for name, key in keys.items()}
    aggregator = Aggregator(public, parameters)
    for node in nodes.values():
        aggregator.add_keys(node.advertise())
    for node in nodes.values():
        aggregator.add_shares(node.share(aggregator.roster()))
    left = {name: node for name, node in nodes.items() if name != gone}
    for name, node in left.items():
        aggregator.add_masked(node.mask(aggregator.inbox(name), vectors[name]))
    for node in left.values():
        aggregator.add_confirmation(node.confirm(aggregator.survivors()))
    for node in left.values():
        aggregator.add_unmasking(node.unmask(aggregator.confirmations()))
    return aggregator.total()


@pytest.mark.parametrize("gone", ["", "b"])
def test_the_secure_sum_is_that_of_clear_votes_and_noise(gone: str) -> None:
    """The slow twin counts with Python's integers, over everybody's passages at once."""
    chance = random.Random(5)
    rule = KeywordRule(noise_multiplier=1.2, num_nodes=4, max_votes=3)
    passages = {name: [" ".join(chance.sample(WORDS, 6)) for _ in range(12)] for name in "abcd"}
    noise = {name: [chance.randrange(-60, 61) for _ in range(len(WORDS) + 1)] for name in "abcd"}
    vectors = {}
    for name in "abcd":
        fixed = iter(noise[name])
        vectors[name] = noised(tally(passages[name], WORDS, rule), rule, lambda _variance, fixed=fixed: next(fixed))  # type: ignore[misc]
    steps = [0] * (len(WORDS) + 1)
    for name in set("abcd") - set(gone):
        for text in passages[name]:
            mentioned = [place for place, word in enumerate(WORDS) if word in text.split()]
            for place in [*mentioned[:3], len(WORDS)]:
                steps[place] += rule.scale
        steps = [step + drawn for step, drawn in zip(steps, noise[name], strict=True)]
    total = summed(vectors, gone)
    assert total.astype(np.int32).tolist() == steps
    keywords = decode(total, WORDS, 4 - len(gone), rule)
    assert keywords.count == steps[-1] / rule.scale
    slow = sorted(range(len(WORDS)), key=lambda place: -steps[place])[:5]
    needed = rule.threshold(4 - len(gone)) * rule.scale
    assert [word for word, _ in keywords.found] == [WORDS[place] for place in slow if steps[place] > needed]


def test_few_voters_give_no_keyword_and_weak_ones_do_not_come_out() -> None:
    rule = KeywordRule(noise_multiplier=1, num_nodes=3)
    needed = rule.threshold(3)

    def opened(*votes: float) -> RingArray:
        return np.rint(np.array(votes) * rule.scale).astype(np.int64).astype(np.uint32)

    few = decode(opened(30, 30, 19), ["a", "b"], 3, rule)
    assert (few.enough, few.found, few.count) == (False, (), 19)
    weak = decode(opened(math.ceil(needed) + 1, needed - 1, -40, 20), ["a", "b", "c"], 3, rule)
    assert (weak.enough, [word for word, _ in weak.found]) == (True, ["a"])
    asked = decode(opened(500, 400, 900, 40), ["a", "b", "keys"], 3, KeywordRule(noise_multiplier=1, num_nodes=3), 1)
    assert [word for word, _ in asked.found] == ["a", "b", "keys"], "the question's own words come last"
    assert decode(opened(0, 0, -7), ["a", "b"], 3, rule).count == -7, "noise can make it negative"
