"""Curves as the operator sees them."""

from server.training_client import curve


def test_a_curve_goes_from_the_lowest_to_the_highest_block() -> None:
    assert curve([1.0, 2.0, 3.0]) == "▁▅█"
    assert curve([5.0, 5.0]) == "▁▁"
    assert len(curve([float(n) for n in range(100)], width=10)) == 10
