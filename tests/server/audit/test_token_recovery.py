"""The span check on a tiny model: tokens of a short answer come back from the gradient, and not from a long one."""

import numpy as np
import pytest

from prompt_tuning.dataset import make_example
from prompt_tuning.language_model import TransformersLanguageModel
from prompt_tuning.methods.settings import LoraSettings
from prompt_tuning.trainable import Trainable
from server.audit.inversion import gradient, one_step, securely_summed
from server.audit.token_recovery import SpanAttack, best_tokens, num_recovered
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TransformersLanguageModel:
    return TransformersLanguageModel(write_tiny_model(tmp_path_factory.mktemp("model")), threads=1, dtype="float32")


def attacked(model: TransformersLanguageModel, answer: str) -> tuple[list[int], set[int]]:
    trainable = Trainable(model, LoraSettings())
    (prepared,) = trainable.prepare([make_example(question="Who?", answers=(answer,), passages=("It was.",))])
    known = {prepared.divided.live[-1]}
    truth = set(prepared.answer_ids[:-1]) - known
    weights = trainable.initial(seed=0)
    scores = SpanAttack(model, 8, known).scores(gradient(trainable, weights, [prepared]))
    return best_tokens(scores, len(truth), known), truth


def test_a_short_answer_is_read_off_its_gradient(model: TransformersLanguageModel) -> None:
    guesses, truth = attacked(model, "Ruth")
    assert num_recovered(guesses, truth) == len(truth) == 4


def test_more_tokens_than_the_rank_hide_each_other(model: TransformersLanguageModel) -> None:
    guesses, truth = attacked(model, "The quick brown fox jumps over lazy dogs")
    assert num_recovered(guesses, truth) < len(truth)


def test_the_sum_is_what_secagg_shows(model: TransformersLanguageModel) -> None:
    trainable = Trainable(model, LoraSettings())
    weights = trainable.initial(seed=0)
    prepared = trainable.prepare(
        [make_example(question="Who?", answers=(name,), passages=("It was.",)) for name in ("Ann", "Bob", "Eve")]
    )
    updates = [one_step(trainable, weights, [example]) for example in prepared]
    total = securely_summed(weights, updates, 1)
    for name, value in total.items():
        np.testing.assert_allclose(value, np.mean([update[name] for update in updates], axis=0), atol=1e-6)
