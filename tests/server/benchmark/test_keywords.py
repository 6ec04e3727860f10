"""The simulation of keywords says what the formula says."""

import math

import pytest

from frag.privacy.accounting import rho_within
from server.benchmark.keywords import KeywordPlan, measure_keywords


def test_many_units_bring_the_keywords_out_and_few_do_not() -> None:
    few, many = measure_keywords(KeywordPlan(candidates=64, trials=6, rows=((1, 5), (1, 60))))
    # three nodes whose noise must suffice without one of them
    expected = math.sqrt(11 / (2 * rho_within(4.0)) * 3 / 2)
    assert few.noise_deviation == pytest.approx(expected, rel=0.01)
    assert (few.documents_used, few.released_precision) == (0.0, None)
    assert few.recall < 0.6
    assert (many.recall, many.released_recall, many.documents_used) == (1.0, 1.0, 1.0)
