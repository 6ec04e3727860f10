"""What an asker sees of an answer by keywords."""

import pytest

from server.asking import print_answer


def test_keywords_are_shown_with_their_noise_and_what_is_promised(capsys: pytest.CaptureFixture[str]) -> None:
    print_answer(
        {
            "answer": "In the cellar.",
            "answer_mode": "dp",
            "aggregation": "keywords",
            "answered": [],
            "withheld": [],
            "failed": [{"node": "b", "code": "keys: disconnected"}],
            "timings": {"total_ms": 12.0},
            "keywords": [{"word": "cellar", "votes": 41.3}],
            "noisy_count": 52.2,
            "noise_deviation": 4.7,
            "documents_used": True,
            "promise": "Timing is not covered.",
        }
    )
    shown = " ".join(capsys.readouterr().out.split())
    for part in (
        "In the cellar.",
        "± 4.7",
        "cellar 41",
        "about 52 units",
        "Timing is not covered.",
        "keys: disconnected",
    ):
        assert part in shown
