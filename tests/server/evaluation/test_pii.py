import json
from pathlib import Path

import pytest

from frag.errors import BadRequestError
from server.evaluation.pii import LabelledText, Score, evaluate_pii, fold_of, load_labelled, wilson

TEXT = "Anna lives at 5 Elm Street in Bonn."
SPANS = ((0, 4, "PERSON"), (14, 26, "STREET_ADDRESS"), (30, 34, "GPE"))


class Fixed:
    fingerprint = "fixed"

    def __init__(self, *spans: tuple[int, int, str]) -> None:
        self.spans = list(spans)

    def find(self, _text: str) -> list[tuple[int, int, str]]:
        return self.spans


def test_found_means_covered_and_right_means_touching() -> None:
    score = Score()
    score.add(LabelledText(TEXT, SPANS, "1"), [(0, 4, "PERSON"), (14, 19, "STREET_ADDRESS"), (30, 34, "PERSON")])
    found = score.as_dict()
    assert (found["recall"]["value"], found["recall"]["count"]) == (0.5, 2), (
        "half an address is not found; GPE is no task"
    )
    assert (found["precision"]["value"], found["precision"]["count"]) == (1.0, 3)
    assert not found["by_type"]["PERSON"]["claimed"]


def test_whoever_touches_nothing_is_wrong() -> None:
    score = Score()
    score.add(LabelledText(TEXT, SPANS, "1"), [(5, 10, "PERSON"), (5, 10, "DATE_TIME")])
    assert score.as_dict()["precision"]["value"] == 0.0
    assert score.num_predicted == 1, "types that nobody asked for are not counted"


def test_wilson_by_hand() -> None:
    # 8 of 10: (0.8 + 0.19208) / 1.38416 ± 1.96 · √(0.016 + 0.009604) / 1.38416
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)


def test_templates_stay_in_their_folds() -> None:
    texts = [LabelledText(TEXT, SPANS, str(number)) for number in range(50)]
    report = evaluate_pii(texts, {"none": Fixed(), "all": Fixed(*SPANS)}, 5, lambda *_: None)
    held_out = sum(fold_of(text.template, 5) == 0 for text in texts)
    assert report["systems"]["all"]["held_out"]["recall"]["count"] == 2 * held_out > 0
    assert report["systems"]["all"]["all"]["recall"]["value"] == 1.0
    assert report["systems"]["none"]["all"]["recall"]["value"] == 0.0


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"text": "x"}]))
    with pytest.raises(BadRequestError, match="cannot be read"):
        load_labelled(path)
