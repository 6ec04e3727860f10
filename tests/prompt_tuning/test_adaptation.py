"""What was trained is saved, checked, and answers as it did in training."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from frag.errors import BadRequestError, ModelError
from frag.types import Adaptation, GenerationRequest, Place, Template
from prompt_tuning.adaptation_file import load_adaptation, save_adaptation
from prompt_tuning.language_model import TransformersLanguageModel
from prompt_tuning.methods import (
    DeepSettings,
    FullSettings,
    GeneratorSettings,
    LoraSettings,
    MethodSettings,
    PromptSettings,
    PTuningSettings,
)
from prompt_tuning.trainable import Trainable
from tests.contracts.method_contract import EXAMPLES, VECTOR_WIDTH, moved, vectors
from tests.tiny_model import write_tiny_model

TOLD = Template(instruction="Be brief.", examples=(("Tea is hot.", "What is tea?", "hot"),))
METHODS = [
    PromptSettings(num_virtual_tokens=3),
    PTuningSettings(num_virtual_tokens=3, hidden_size=8),
    GeneratorSettings(num_virtual_tokens=3, hidden_size=4),
    DeepSettings(num_virtual_tokens=3),
    LoraSettings(rank=2),
    FullSettings(),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TransformersLanguageModel:
    return TransformersLanguageModel(write_tiny_model(tmp_path_factory.mktemp("model")), threads=1, dtype="float32")


def adaptation(model: TransformersLanguageModel, settings: MethodSettings) -> Adaptation:
    weights = moved(Trainable(model, settings).initial(seed=0, vector_width=VECTOR_WIDTH))
    return Adaptation(
        method=settings.kind,
        settings=settings.model_dump(mode="json", exclude={"kind", "place"}),
        place=settings.place,
        tensors=weights,
        template=TOLD,
        base_model=model.fingerprint,
        layout=model.layout.fingerprint,
        version="v1",
    )


@pytest.mark.parametrize("settings", METHODS, ids=lambda settings: settings.kind)
def test_a_saved_adaptation_answers_as_training_measured(
    model: TransformersLanguageModel, settings: MethodSettings
) -> None:
    original = adaptation(model, settings)
    restored = load_adaptation(save_adaptation(original), "v1")
    assert dataclasses.replace(restored, tensors={}) == dataclasses.replace(original, tensors={})
    model.check(restored)
    trainable = Trainable(model, settings, TOLD)
    known = vectors(EXAMPLES)
    measured = trainable.answers(original.tensors, trainable.prepare(EXAMPLES, vectors=known), max_new_tokens=10)
    served = model.generate(
        [
            GenerationRequest(question=e.question, passages=e.passages, max_new_tokens=10, question_vector=vector)
            for e, vector in zip(EXAMPLES, known, strict=True)
        ],
        adaptation=restored,
    )
    assert [generation.text for generation in served] == measured
    assert {generation.prompt_version for generation in served} == {"v1"}


def test_a_template_is_a_version_too(model: TransformersLanguageModel) -> None:
    told = Adaptation(
        method="template",
        settings={},
        place=Place.BEFORE,
        tensors={},
        template=TOLD,
        base_model="",
        layout="",
    )
    restored = load_adaptation(save_adaptation(told))
    assert restored.template == TOLD
    model.check(restored)
    question = GenerationRequest(question="Why?", max_new_tokens=6)
    (under,) = model.generate([question], adaptation=restored)
    (plain,) = model.generate([question])
    assert under.num_prompt_tokens > plain.num_prompt_tokens


def test_what_fits_another_model_or_layout_is_refused(model: TransformersLanguageModel, tmp_path: Path) -> None:
    ours = adaptation(model, PromptSettings(num_virtual_tokens=3))
    other = TransformersLanguageModel(write_tiny_model(tmp_path / "other", seed=1), threads=1, dtype="float32")
    with pytest.raises(ModelError, match="another base model"):
        other.check(ours)
    with pytest.raises(ModelError, match="layout"):
        model.check(dataclasses.replace(ours, layout="0" * 64))
    narrow = {"virtual_tokens": np.zeros((3, 5), np.float32)}
    with pytest.raises(ModelError, match="do not fit"):
        model.check(dataclasses.replace(ours, tensors=narrow))
    with pytest.raises(ModelError, match="do not fit"):
        model.check(dataclasses.replace(ours, tensors={}))


def test_a_generator_needs_the_vector(model: TransformersLanguageModel) -> None:
    ours = adaptation(model, GeneratorSettings(num_virtual_tokens=3))
    with pytest.raises(BadRequestError):
        model.generate([GenerationRequest(question="Why?")], adaptation=ours)


def test_damaged_files_are_refused(model: TransformersLanguageModel) -> None:
    content = save_adaptation(adaptation(model, DeepSettings(num_virtual_tokens=2)))
    for damaged in (b"", content[:-5], content[:200], b"x" * 100):
        with pytest.raises(ModelError):
            load_adaptation(damaged)
    broken = dataclasses.replace(adaptation(model, LoraSettings(rank=1)), tensors={"a": np.array([np.nan], np.float32)})
    with pytest.raises(ModelError, match="finite"):
        load_adaptation(save_adaptation(broken))


def test_repr_shows_no_tensors(model: TransformersLanguageModel) -> None:
    assert "array" not in repr(adaptation(model, PromptSettings(num_virtual_tokens=2)))
