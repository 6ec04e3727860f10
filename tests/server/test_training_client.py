"""Curves and versions as the operator sees them."""

import pytest

from server.training_client import curve, print_prompts


def test_a_curve_goes_from_the_lowest_to_the_highest_block() -> None:
    assert curve([1.0, 2.0, 3.0]) == "▁▅█"
    assert curve([5.0, 5.0]) == "▁▁"
    assert len(curve([float(n) for n in range(100)], width=10)) == 10


def test_versions_say_what_they_claim_of_privacy(capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "live": False,
        "version": "job-1",
        "method": "lora",
        "place": "after",
        "num_bytes": 10,
        "created_at": "2026-11-23T10:00:00",
    }
    print_prompts([{**row, "metrics": {"epsilon": 3.25}}, {**row, "metrics": {}}])
    head, private, usual = (line.split() for line in capsys.readouterr().out.splitlines())
    assert "ε" in head
    assert "3.250" in private
    assert usual.count("–") == 2
