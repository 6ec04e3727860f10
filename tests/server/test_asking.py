"""What an asker sees of an answer by keywords."""

import msgspec
import pytest

from frag.types import AnswerMode
from server.asking import print_answer
from server.coordinator.answer_views import FailedView
from server.coordinator.keyword_response import KeywordResponse, KeywordView
from server.questions import QuestionView


def test_keywords_are_shown_with_their_noise_and_what_is_promised(capsys: pytest.CaptureFixture[str]) -> None:
    response = KeywordResponse(
        query_id="0" * 32,
        answer="In the cellar.",
        answer_mode=AnswerMode.DP,
        aggregation="keywords",
        answered=[],
        withheld=[],
        failed=[FailedView("b", "keys: disconnected")],
        question=QuestionView(scrub="off", masked={}),
        timings={"total_ms": 12.0},
        keywords=[KeywordView("cellar", 41.3)],
        noisy_count=52.2,
        noise_deviation=4.7,
        documents_used=True,
        promise="Timing is not covered.",
    )
    print_answer(msgspec.to_builtins(response))
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
