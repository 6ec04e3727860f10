"""What every strategy promises."""

import json

import numpy as np
import pytest

from frag.errors import UpdateError
from prompt_tuning.strategies import ServerState, Strategy

WEIGHTS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([-1.0, 2.0], np.float32),
    "scalar": np.array(0.5, np.float32),
}


def delta(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: np.asarray(random.standard_normal(value.shape), np.float32) for name, value in WEIGHTS.items()}


def same(left: ServerState, right: ServerState) -> None:
    assert left.round_num == right.round_num
    assert left.slots.keys() == right.slots.keys()
    for ours, theirs in [(left.weights, right.weights), *((left.slots[s], right.slots[s]) for s in left.slots)]:
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            np.testing.assert_array_equal(value, theirs[name])


class StrategyContract:
    """Subclasses give `strategy`."""

    strategy: Strategy

    def after(self, num_rounds: int) -> ServerState:
        state = self.strategy.init(WEIGHTS)
        for seed in range(num_rounds):
            state = self.strategy.apply(state, delta(seed))
        return state

    def test_names_shapes_and_dtype_stay(self) -> None:
        state = self.after(3)
        assert state.round_num == 3
        for name, value in state.weights.items():
            assert (value.shape, value.dtype) == (WEIGHTS[name].shape, np.float32)

    def test_nothing_learnt_changes_nothing_at_first(self) -> None:
        still = self.strategy.apply(self.strategy.init(WEIGHTS), {n: np.zeros_like(v) for n, v in WEIGHTS.items()})
        for name, value in still.weights.items():
            np.testing.assert_array_equal(value, WEIGHTS[name])

    def test_weights_move_towards_the_update(self) -> None:
        moved = self.strategy.apply(self.strategy.init(WEIGHTS), delta(1))
        for name, value in delta(1).items():
            np.testing.assert_array_equal(np.sign(moved.weights[name] - WEIGHTS[name]), np.sign(value))

    def test_inputs_are_left_alone_and_equal_calls_give_equal_bits(self) -> None:
        state, update = self.after(2), delta(7)
        before = state.to_bytes()
        first = self.strategy.apply(state, update)
        assert state.to_bytes() == before
        same(first, self.strategy.apply(state, update))
        np.testing.assert_array_equal(update["a"], delta(7)["a"])

    def test_a_saved_state_goes_on_as_the_original(self) -> None:
        state = self.after(3)
        restored = ServerState.from_bytes(state.to_bytes())
        same(state, restored)
        same(self.strategy.apply(state, delta(9)), self.strategy.apply(restored, delta(9)))

    @pytest.mark.parametrize("damage", [b"", b"x" * 40])
    def test_a_damaged_state_is_refused(self, damage: bytes) -> None:
        with pytest.raises(UpdateError):
            ServerState.from_bytes(damage or self.after(1).to_bytes()[:-3])

    @pytest.mark.parametrize(
        ("key", "dtype", "num_bytes", "round_num"),
        [
            ("weights/w", "F64", 16, "1"),
            ("weights/w", "BF16", 4, "1"),
            ("slots/first/w", "F32", 8, "1"),
            ("weights/w", "F32", 8, "-1"),
            ("weights/w", "F32", 8, "9" * 5000),
        ],
    )
    def test_a_state_that_cannot_be_is_refused(self, key: str, dtype: str, num_bytes: int, round_num: str) -> None:
        entry = {"dtype": dtype, "shape": [2], "data_offsets": [0, num_bytes]}
        header = json.dumps({"__metadata__": {"round": round_num}, key: entry}).encode()
        with pytest.raises(UpdateError):
            ServerState.from_bytes(len(header).to_bytes(8, "little") + header + bytes(num_bytes))
