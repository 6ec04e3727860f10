import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frag.answers.calibration import answer_score

cosines = st.floats(-1, 1)
logprobs = st.floats(-10, 0)


def test_by_hand() -> None:
    assert answer_score(0.5, 0.0) == 0.5
    assert answer_score(0.75, -1.0) == pytest.approx(1 / (1 + math.exp(-1)))
    assert answer_score(0.8, -0.2) == pytest.approx(0.9, abs=0.01)
    assert answer_score(0.35, -1.0) == pytest.approx(0.1, abs=0.01)


@given(cosines, cosines, logprobs, logprobs)
def test_grows_in_both(cosine: float, other: float, logprob: float, second: float) -> None:
    low = answer_score(min(cosine, other), min(logprob, second))
    high = answer_score(max(cosine, other), max(logprob, second))
    assert 0.0 <= low <= high <= 1.0


@pytest.mark.parametrize("pair", [(math.nan, -1.0), (0.5, math.nan)])
def test_not_a_number_is_no_confidence(pair: tuple[float, float]) -> None:
    assert answer_score(*pair) == 0.0


def test_a_peers_numbers_are_kept_in_range() -> None:
    assert answer_score(1e308, 1e308) == answer_score(1.0, 0.0)
    assert answer_score(0.5, -math.inf) == answer_score(0.5, -10.0)
