"""A forged update is refused or bounded, with a reason."""

import numpy as np
import pytest

from frag.errors import UpdateError
from frag.updates import Update, UpdateLimits, check_update, norm

LIKE = {"a": np.zeros((2, 2), np.float32), "b": np.zeros(2, np.float32)}
GOOD = {"a": np.full((2, 2), 0.5, np.float32), "b": np.zeros(2, np.float32)}
NO_LIMITS = UpdateLimits()


def update(delta=GOOD, round_num: int = 3, num_examples: int = 10) -> Update:
    return Update(node_id="mill", round_num=round_num, delta=delta, num_examples=num_examples)


def test_a_good_update_passes_as_it_is() -> None:
    assert check_update(update(), LIKE, 3, NO_LIMITS) == (update(), ())
    assert norm(GOOD) == 1.0


@pytest.mark.parametrize(
    ("forged", "said"),
    [
        (update(round_num=2), "round 2 in round 3"),
        (update(num_examples=0), "0 examples"),
        (update({"a": GOOD["a"]}), "other tensors"),
        (update({**GOOD, "c": GOOD["b"]}), "other tensors"),
        (update({**GOOD, "b": np.zeros(3, np.float32)}), r"float32 \[3\]"),
        (update({**GOOD, "b": np.zeros(2, np.float64)}), "float64"),
        (update({**GOOD, "b": np.array([0, np.nan], np.float32)}), "not finite"),
        (update({**GOOD, "b": np.array([0, np.inf], np.float32)}), "not finite"),
    ],
)
def test_a_forged_update_is_refused_with_a_reason(forged: Update, said: str) -> None:
    with pytest.raises(UpdateError, match=said):
        check_update(forged, LIKE, 3, NO_LIMITS)


def test_influence_is_bounded() -> None:
    limits = UpdateLimits(max_examples=100, max_norm=2.0)
    huge = {name: value * np.float32(1e6) for name, value in GOOD.items()}
    bounded, reasons = check_update(update(huge, num_examples=1_000_000_000), LIKE, 3, limits)
    assert bounded.num_examples == 100
    assert norm(bounded.delta) == pytest.approx(2.0, rel=1e-6)
    assert len(reasons) == 2
    assert norm(huge) == pytest.approx(1e6)  # what was given is left as it was


def test_the_largest_update_is_bounded_as_well() -> None:
    like = {"w": np.zeros((20, 576), np.float32)}
    largest = Update(node_id="mill", round_num=0, delta={"w": np.full((20, 576), 3e38, np.float32)}, num_examples=1)
    bounded, _ = check_update(largest, like, 0, UpdateLimits(max_norm=1.0))
    assert norm(bounded.delta) == pytest.approx(1.0, rel=1e-6)


def test_repr_tells_no_numbers() -> None:
    assert "0.5" not in repr(update())
