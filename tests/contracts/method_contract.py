"""What every method promises: one layout for training and serving, caches and batches that change nothing, learning."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from frag.types import Place, Template
from frag.updates import Weights
from prompt_tuning.dataset import Example, Objective, make_example
from prompt_tuning.decoding import GreedyDecoder, Job
from prompt_tuning.language_model import TransformersLanguageModel
from prompt_tuning.local_training import LocalSettings, Schedule, train
from prompt_tuning.methods import MethodSettings
from prompt_tuning.trainable import Prepared, Trainable
from tests.tiny_model import write_tiny_model

VECTOR_WIDTH = 6
EXAMPLES = (
    make_example(question="Who keeps the keys?", answers=("the porter",), passages=("The porter keeps the keys.",)),
    make_example(question="Where?", answers=("behind the door", "door"), passages=("Behind the door of the room.",)),
    make_example(question="Who?", answers=("porter",), passages=("The porter keeps the keys.",)),
    make_example(question="Why is that so, and since when?", answers=("no",)),
)


def vectors(examples: Sequence[Example]) -> list[np.ndarray]:
    rows = np.random.default_rng(7).standard_normal((len(examples), VECTOR_WIDTH)).astype(np.float32)
    return list(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def moved(weights: Weights, seed: int = 3) -> Weights:
    """Weights as they might be after training: nothing is zero any more."""
    random = np.random.default_rng(seed)
    return {
        name: value + (0.05 * random.standard_normal(value.shape)).astype(np.float32) for name, value in weights.items()
    }


class MethodContract:
    """Subclasses give `settings`; every test runs at both places and over both forward passes."""

    settings: MethodSettings
    learning_rate = 0.05

    @pytest.fixture(scope="class", params=["llama", "qwen2"])
    @classmethod
    def model(
        cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> TransformersLanguageModel:
        folder = write_tiny_model(tmp_path_factory.mktemp(request.param), architecture=request.param)
        return TransformersLanguageModel(folder, threads=1, dtype="float32")

    @pytest.fixture(params=list(Place))
    def trainable(self, request: pytest.FixtureRequest, model: TransformersLanguageModel) -> Trainable:
        settings = self.settings.model_copy(update={"place": request.param})
        return Trainable(model, settings, Template(instruction="Be brief."))

    def initial(self, trainable: Trainable) -> Weights:
        return trainable.initial(seed=5, vector_width=VECTOR_WIDTH)

    def prepare(self, trainable: Trainable, examples: Sequence[Example] = EXAMPLES) -> list[Prepared]:
        return trainable.prepare(examples, vectors=vectors(examples))

    def label_logits(self, trainable: Trainable, weights: Weights, examples: Sequence[Prepared]) -> torch.Tensor:
        with torch.no_grad():
            return trainable.label_logits(tensors(weights), examples)

    def test_the_start_is_float32_and_follows_from_the_seed(self, trainable: Trainable) -> None:
        first, again = self.initial(trainable), self.initial(trainable)
        assert first.keys() == again.keys()
        assert first
        for name, value in first.items():
            assert value.dtype == np.float32
            np.testing.assert_array_equal(value, again[name])

    def test_batched_equals_single_over_mixed_lengths(self, trainable: Trainable) -> None:
        weights, prepared = moved(self.initial(trainable)), self.prepare(trainable)
        together = self.label_logits(trainable, weights, prepared)
        alone = torch.cat([self.label_logits(trainable, weights, [example]) for example in prepared])
        torch.testing.assert_close(together, alone, atol=1e-3, rtol=0)

    def test_serving_predicts_what_training_does(self, trainable: Trainable, model: TransformersLanguageModel) -> None:
        """Token by token: the first from the prompt, each other from the decoder fed with the true answer."""
        weights, prepared = moved(self.initial(trainable)), self.prepare(trainable)
        trained = self.label_logits(trainable, weights, prepared)
        with torch.no_grad():
            effect = trainable.effect(tensors(weights), prepared)
        decoder = GreedyDecoder(model.forward, [])
        served = decoder.prompt_logits([example.prompt for example in prepared], effect)
        firsts = np.cumsum([0, *(example.num_labels for example in prepared[:-1])])
        torch.testing.assert_close(served, trained[torch.from_numpy(firsts)], atol=1e-3, rtol=0)

    def test_decoding_continues_as_training_predicts(
        self, trainable: Trainable, model: TransformersLanguageModel
    ) -> None:
        """What greedy decoding wrote is, taken as the answer, the likeliest token at every place."""
        weights, prepared = moved(self.initial(trainable)), self.prepare(trainable)
        with torch.no_grad():
            effect = trainable.effect(tensors(weights), prepared)
        jobs = [Job(prompt=example.prompt, min_new_tokens=0, max_new_tokens=6) for example in prepared]
        written = GreedyDecoder(model.forward, []).decode(jobs, effect=effect)
        continued = [replace_answer(e, tuple(row.ids)) for e, row in zip(prepared, written, strict=True)]
        logits = self.label_logits(trainable, weights, continued)
        chosen = torch.tensor([index for row in written for index in row.ids])
        gap = logits.max(dim=-1).values - logits[torch.arange(len(chosen)), chosen]
        assert float(gap.max()) < 1e-3

    def test_kept_keys_and_values_change_no_answer(
        self, trainable: Trainable, model: TransformersLanguageModel
    ) -> None:
        weights, prepared = moved(self.initial(trainable)), self.prepare(trainable)
        kept = trainable.answers(weights, prepared, max_new_tokens=8)
        with torch.inference_mode():
            effect = trainable.effect(tensors(weights), prepared)
        jobs = [Job(prompt=example.prompt, min_new_tokens=0, max_new_tokens=8) for example in prepared]
        assert kept == model.decode(jobs, effect=effect)

    def test_training_lowers_the_loss_and_leaves_the_model_as_it_was(
        self, trainable: Trainable, model: TransformersLanguageModel
    ) -> None:
        before = {name: weight.clone() for name, weight in model.forward.weights().items()}
        prepared = self.prepare(trainable)
        start = self.initial(trainable)
        settings = QUICK.model_copy(update={"learning_rate": self.learning_rate})
        trained = train(trainable, start, prepared, settings, Schedule(first_step=0, total_steps=25), seed=1)
        assert trained.num_examples == len(EXAMPLES)
        assert trainable.mean_loss(tensors(trained.weights), prepared) < 0.98 * trainable.mean_loss(
            tensors(start), prepared
        )
        assert all(torch.equal(weight, before[name]) for name, weight in model.forward.weights().items())

    def test_the_same_seed_gives_the_same_bits(self, trainable: Trainable) -> None:
        prepared, start = self.prepare(trainable), self.initial(trainable)
        settings = QUICK.model_copy(update={"steps": 3, "micro_batch_size": 2, "batch_size": 3})
        schedule = Schedule(first_step=4, total_steps=50)
        first, again = (train(trainable, start, prepared, settings, schedule, seed=9) for _ in range(2))
        for name, value in first.weights.items():
            np.testing.assert_array_equal(value, again.weights[name])

    def test_plain_text_can_be_learnt(self, trainable: Trainable) -> None:
        texts = [make_example(text="The porter keeps the keys behind the door. " * 2)]
        if trainable.method.reads_vectors:
            pytest.skip("plain text has no question to generate a prompt from")
        prepared = trainable.prepare(texts, Objective.CAUSAL_LM)
        start = self.initial(trainable)
        schedule = Schedule(first_step=0, total_steps=25)
        trained = train(trainable, start, prepared, QUICK, schedule, seed=1)
        assert trainable.mean_loss(tensors(trained.weights), prepared) < trainable.mean_loss(tensors(start), prepared)


QUICK = LocalSettings(steps=25, batch_size=4, learning_rate=0.05, warmup_steps=2)


def tensors(weights: Weights) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}


def replace_answer(example: Prepared, ids: tuple[int, ...]) -> Prepared:
    return Prepared(
        divided=example.divided, answer_ids=ids, prompt=example.prompt, golds=example.golds, vector=example.vector
    )
