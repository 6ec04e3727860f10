"""The buffer: what counts, when it makes a step, and that order, crashes and repeated replies change nothing."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from frag.errors import SettingsError, UpdateError
from frag.summation import MAX_ABSOLUTE, FixedPointSum
from frag.updates import Update
from prompt_tuning.strategies import BufferState, FedBuff
from prompt_tuning.strategies.fedadam import FedAdam
from prompt_tuning.strategies.fedavg import FedAvg

WEIGHTS = {"w": np.array([1.0, 2.0], np.float32)}


def update(node: str, base: int, value: float, num_examples: int = 1) -> Update:
    delta = {"w": np.array([value, 0.0], np.float32)}
    return Update(node_id=node, round_num=base, delta=delta, num_examples=num_examples)


def play(strategy: FedBuff, state: BufferState, *updates: Update) -> BufferState:
    for one in updates:
        state = strategy.offer(state, one, one.round_num)
    return state


def first(state: BufferState) -> float:
    return float(state.server.weights["w"][0])


def test_hand_computed_step_of_two_nodes() -> None:
    strategy = FedBuff(strategy=FedAvg(learning_rate=0.5), buffer_size=2)
    waiting = play(strategy, strategy.init(WEIGHTS), update("a", 0, 1.0, 3))
    assert (first(waiting), waiting.server.round_num, waiting.num_buffered) == (1.0, 0, 1)
    full = strategy.offer(waiting, update("b", 0, -1.0, 1), 0)
    # 1 + 0.5 · (3·1 − 1·1)/4
    assert (first(full), full.server.round_num, full.num_buffered) == (1.25, 1, 0)


def test_a_stale_update_counts_for_less() -> None:
    strategy = FedBuff(buffer_size=1)
    state = play(strategy, strategy.init(WEIGHTS), *(update("fast", base, 0.0) for base in range(3)))
    assert state.server.round_num == 3
    # τ = 3: 1 + 0.5/√4
    assert first(strategy.offer(state, update("slow", 0, 0.5), 0)) == 1.25
    # τ = 1: 1 + 0.5/√2
    assert first(strategy.offer(state, update("slow", 2, 0.5), 2)) == pytest.approx(1 + 0.5 / 2**0.5, abs=1e-7)


@settings(max_examples=30)
@given(st.permutations(range(5)))
def test_order_within_a_buffer_does_not_matter(order: list[int]) -> None:
    strategy = FedBuff(strategy=FedAdam(), buffer_size=5)
    updates = [update(f"n{k}", 0, 0.1 * (k - 1.7), k + 1) for k in range(5)]
    shuffled = play(strategy, strategy.init(WEIGHTS), *(updates[k] for k in order))
    assert shuffled.to_bytes() == play(strategy, strategy.init(WEIGHTS), *updates).to_bytes()


def test_fresh_updates_make_the_step_of_the_wrapped_strategy() -> None:
    adam = FedAdam()
    updates = [update("a", 0, 0.25, 3), update("b", 0, -0.5, 2)]
    buffered = FedBuff(strategy=adam, buffer_size=2)
    total = FixedPointSum(WEIGHTS)
    for one in updates:
        total.add(one.delta, one.num_examples)
    expected = adam.apply(adam.init(WEIGHTS), total.mean())
    assert play(buffered, buffered.init(WEIGHTS), *updates).server.to_bytes() == expected.to_bytes()


def test_a_saved_buffer_goes_on_as_the_original() -> None:
    strategy = FedBuff(strategy=FedAdam(), buffer_size=3)
    state = strategy.init(WEIGHTS)
    updates = [update(node, base, 0.1 * base - 0.3, 2) for base in range(3) for node in "abc"]
    for one in updates:
        restored = BufferState.from_bytes(state.to_bytes())
        assert restored.to_bytes() == state.to_bytes()
        before = state.to_bytes()
        state, again = strategy.offer(state, one, one.round_num), strategy.offer(restored, one, one.round_num)
        assert state.to_bytes() == again.to_bytes()
        assert restored.to_bytes() == before  # what was given is left as it was
    assert state.server.round_num == 3


@pytest.mark.parametrize(
    ("refused", "base", "said"),
    [
        (update("a", 2, 1.0), 2, "counts already"),
        (update("a", 1, 1.0), 1, "counts already"),
        (update("b", 2, 1.0), 1, "of round 2, not 1"),
        (update("b", 4, 1.0), 4, "of round 4"),
        (update("b", 0, 1.0), 0, "too old"),
        (update("b", 2, 2 * MAX_ABSOLUTE), 2, "bound"),
        (update("b", 2, 1.0, 0), 2, "weight 0"),
    ],
)
def test_what_does_not_count_is_refused_and_changes_nothing(refused: Update, base: int, said: str) -> None:
    strategy = FedBuff(buffer_size=1, max_staleness=2)
    state = play(strategy, strategy.init(WEIGHTS), *(update("a", r, 0.1) for r in range(3)))
    before = state.to_bytes()
    with pytest.raises(UpdateError, match=said):
        strategy.offer(state, refused, base)
    assert state.to_bytes() == before


def test_memory_of_nodes_is_as_long_as_an_update_can_be_late() -> None:
    strategy = FedBuff(buffer_size=1, max_staleness=3)
    state = play(strategy, strategy.init(WEIGHTS), *(update(f"n{r}", r, 0.1) for r in range(20)))
    assert sorted(state.last_base.values()) == [17, 18, 19]


def test_it_converges_although_half_of_the_updates_are_late() -> None:
    """Two nodes pull towards 0 and 4; the second always trains on the weights before the last step."""
    strategy = FedBuff(strategy=FedAvg(learning_rate=0.2), buffer_size=2)
    states = [strategy.init(WEIGHTS)]
    for r in range(150):
        late = max(r - 1, 0)
        fast, slow = update("a", r, 0.0 - first(states[r])), update("b", late, 4.0 - first(states[late]))
        # the slow node's first two rounds are on the same weights, and count once
        updates = [fast, slow] if r != 1 else [fast, update("c", 1, 4.0 - first(states[1]))]
        states.append(play(strategy, states[-1], *updates))
    # 0 = (0 − w) + (4 − w)/√2
    assert first(states[-1]) == pytest.approx(4 / (2**0.5 + 1), abs=1e-3)
    assert all(new.server.round_num == old.server.round_num + 1 for old, new in pairwise(states))


@pytest.mark.parametrize("field", ["buffer_size", "max_staleness"])
def test_settings_are_checked(field: str) -> None:
    with pytest.raises(SettingsError, match=field):
        FedBuff(**{field: -1})


@pytest.mark.parametrize(
    "text", ["", "1", "[1, 2]", "[1, 2, 3]", "[1, -2, {}]", "[1.5, 2, {}]", '[1, 2, {"a": true}]', "[" * 99_999]
)
def test_a_damaged_buffer_is_refused(text: str) -> None:
    tensors = load(FedBuff().init(WEIGHTS).to_bytes())
    with pytest.raises(UpdateError, match="corrupt"):
        BufferState.from_bytes(save(tensors, {"buffer": text}))


@pytest.mark.parametrize("name", ["server", "sums/w"])
def test_a_buffer_without_a_part_is_refused(name: str) -> None:
    whole = FedBuff().init(WEIGHTS).to_bytes()
    tensors = {key: value for key, value in load(whole).items() if key != name}
    for content in (save(tensors, {"buffer": "[0, 0, {}]"}), whole[:-1], b""):
        with pytest.raises(UpdateError):
            BufferState.from_bytes(content)
