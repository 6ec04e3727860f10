"""Every method keeps the contract; what is particular to one is tested beside it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from frag.errors import BadRequestError, ModelError
from frag.types import Place
from prompt_tuning.language_model import TransformersLanguageModel
from prompt_tuning.methods import (
    DeepSettings,
    FullSettings,
    GeneratorSettings,
    LoraSettings,
    PromptSettings,
    PTuningSettings,
)
from prompt_tuning.trainable import Trainable
from tests.contracts.method_contract import EXAMPLES, MethodContract, moved, tensors, vectors
from tests.tiny_model import write_tiny_model


class TestPrompt(MethodContract):
    settings = PromptSettings(num_virtual_tokens=5, text="Be brief.")


class TestRandomPrompt(MethodContract):
    settings = PromptSettings(num_virtual_tokens=3, initial="random")


class TestPTuning(MethodContract):
    settings = PTuningSettings(num_virtual_tokens=4, hidden_size=16)


class TestGenerator(MethodContract):
    settings = GeneratorSettings(num_virtual_tokens=4, hidden_size=8, text="Be brief.")


class TestDeep(MethodContract):
    settings = DeepSettings(num_virtual_tokens=4, text="Be brief.")


class TestRandomDeep(MethodContract):
    settings = DeepSettings(num_virtual_tokens=4, initial="random")
    learning_rate = 0.5


class TestLora(MethodContract):
    settings = LoraSettings(rank=4, alpha=8)


class TestLoraOfBothFactors(MethodContract):
    settings = LoraSettings(rank=4, alpha=8, freeze_down=False, layers=("q_proj", "down_proj"))


class TestFull(MethodContract):
    settings = FullSettings()


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp(request.param), architecture=request.param)


@pytest.fixture(scope="module")
def model(folder: Path) -> TransformersLanguageModel:
    return TransformersLanguageModel(folder, threads=1, dtype="float32")


def test_virtual_tokens_before_the_input_are_those_of_transformers(
    model: TransformersLanguageModel, folder: Path
) -> None:
    """The reference is the whole sequence as embeddings, without cache or batch."""
    trainable = Trainable(model, PromptSettings(num_virtual_tokens=5, place=Place.BEFORE))
    weights = moved(trainable.initial(seed=0))
    example = trainable.prepare(EXAMPLES[:1])[0]
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor([[*example.divided.live, *example.answer_ids[:-1]]])
    with torch.inference_mode():
        embedded = torch.cat(
            (torch.from_numpy(weights["virtual_tokens"])[None], reference.get_input_embeddings()(ids)), 1
        )
        expected = reference(inputs_embeds=embedded).logits[0, -example.num_labels :]
        ours = trainable.label_logits(tensors(weights), [example])
    torch.testing.assert_close(ours, expected, atol=1e-3, rtol=0)


def test_keys_of_a_text_behind_the_input_are_those_that_the_model_would_have(
    model: TransformersLanguageModel,
) -> None:
    """Deep prompts that start from a text without other input: rotated to 0 … n-1 they are the text's own cache."""
    trainable = Trainable(model, DeepSettings(num_virtual_tokens=4, text="Be b", place=Place.BEFORE))
    weights = trainable.initial(seed=0)
    positions = torch.arange(4)[None].expand(len(weights["keys"]), -1)
    rotated = model.forward.rotate(torch.from_numpy(weights["keys"]), positions)
    from prompt_tuning.forward import prefill_alone

    with torch.inference_mode():
        seen = prefill_alone(model.forward, model.layout.text_ids("Be b")).of_row(0)
    torch.testing.assert_close(rotated, seen.keys, atol=1e-4, rtol=0)


def test_lora_equals_a_model_whose_weights_were_changed(model: TransformersLanguageModel, folder: Path) -> None:
    settings = LoraSettings(rank=2, alpha=6, freeze_down=False, place=Place.BEFORE)
    trainable = Trainable(model, settings)
    weights = moved(trainable.initial(seed=0))
    example = trainable.prepare(EXAMPLES[:1])[0]
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for name in {key.rpartition(".")[0] for key in weights}:
        change = 3.0 * weights[f"{name}.up"] @ weights[f"{name}.down"]
        reference.get_submodule(name).weight.data += torch.from_numpy(change)
    ids = torch.tensor([[*example.divided.live, *example.answer_ids[:-1]]])
    with torch.inference_mode():
        expected = reference(input_ids=ids).logits[0, -example.num_labels :]
        ours = trainable.label_logits(tensors(weights), [example])
    torch.testing.assert_close(ours, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("place", list(Place))
def test_an_untrained_lora_changes_nothing(model: TransformersLanguageModel, place: Place) -> None:
    trainable = Trainable(model, LoraSettings(rank=2, place=place))
    prepared = trainable.prepare(EXAMPLES)
    assert trainable.answers(trainable.initial(seed=0), prepared) == trainable.answers(None, prepared)


def test_the_mean_of_frozen_down_changes_is_the_change_of_the_mean(model: TransformersLanguageModel) -> None:
    trainable = Trainable(model, LoraSettings(rank=2, place=Place.AFTER))
    start = trainable.initial(seed=0)
    one, two = moved(start, 1), moved(start, 2)
    mean = {name: (one[name] + two[name]) / 2 for name in start}
    changes = [trainable.method.effect(model.forward, tensors(w), None) for w in (one, two, mean)]
    name = next(iter(start)).rpartition(".")[0]
    ups = [w[f"{name}.up"] for w in (one, two, mean)]
    assert np.allclose((ups[0] + ups[1]) / 2, ups[2])
    assert len(changes) == 3


def test_a_generated_prompt_differs_by_question(model: TransformersLanguageModel) -> None:
    trainable = Trainable(model, GeneratorSettings(num_virtual_tokens=3, hidden_size=4))
    prepared = trainable.prepare(EXAMPLES[:2], vectors=vectors(EXAMPLES[:2]))
    start = trainable.initial(seed=0, vector_width=6)
    same = trainable.effect(tensors(start), prepared).tokens
    differing = trainable.effect(tensors(moved(start)), prepared).tokens
    assert torch.equal(same[0], same[1]), "training starts from one shared prompt"
    assert not torch.allclose(differing[0], differing[1])
    with pytest.raises(BadRequestError, match="embedding"):
        trainable.method.effect(model.forward, tensors(start), None)


def test_layers_that_the_model_has_not_are_named(model: TransformersLanguageModel) -> None:
    with pytest.raises(ModelError, match="wi_0"):
        Trainable(model, LoraSettings(layers=("wi_0",))).initial(seed=0)
