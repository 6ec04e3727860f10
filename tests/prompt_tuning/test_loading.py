"""Folders: what is damaged, incomplete or of a kind that would be computed wrongly is refused with what to do."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from frag.errors import ModelError
from frag.types import GenerationRequest
from prompt_tuning.language_model import TransformersLanguageModel
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("sound"))


def refuse(folder: Path, match: str = "frag models pull") -> None:
    with pytest.raises(ModelError, match=match):
        TransformersLanguageModel(folder, threads=1)


def test_an_absent_folder_names_the_command(tmp_path: Path) -> None:
    refuse(tmp_path / "smollm2-135m-instruct", "frag models pull smollm2-135m-instruct")


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("damage", ["missing", "torn"])
def test_a_damaged_file_names_the_command(sound: Path, tmp_path: Path, file: str, damage: str) -> None:
    folder = shutil.copytree(sound, tmp_path / "damaged")
    content = (folder / file).read_bytes()
    (folder / file).unlink()
    if damage == "torn":
        (folder / file).write_bytes(content[: len(content) // 2])
    refuse(folder)


@pytest.mark.parametrize(
    "template",
    [
        "{% for message in messages",
        "{% for message in messages %}{{ message['role'] }}{% endfor %}",
        "{{ raise_exception('no') }}",
    ],
)
def test_a_chat_template_that_does_not_show_what_is_said_is_refused(sound: Path, tmp_path: Path, template: str) -> None:
    folder = shutil.copytree(sound, tmp_path / "damaged")
    (folder / "chat_template.jinja").write_text(template)
    refuse(folder)


def test_missing_weights_are_not_filled_with_random_ones(sound: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(sound, tmp_path / "damaged")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    refuse(folder, "Weights are missing")


def test_a_sliding_window_limits_the_context(tmp_path: Path) -> None:
    """Our mask has no window; within one window there is nothing to hide."""
    folder = write_tiny_model(tmp_path / "mistral", architecture="mistral", sliding_window=300)
    model = TransformersLanguageModel(folder, threads=1, dtype="float32")
    request = GenerationRequest(question="Where?", passages=("a long passage. " * 100,), max_new_tokens=8)
    (generation,) = model.generate([request])
    assert generation.num_prompt_tokens == 292
    prompt = model.layout.lay_out(request, 292)
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        expected = reference(input_ids=torch.tensor([[*prompt.prefix_ids, *prompt.rest_ids]])).logits[0, -1]
    torch.testing.assert_close(model._decoder.prompt_logits([prompt])[0], expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("mamba", {}),
        ("gemma2", {"head_dim": 8, "final_logit_softcapping": 30.0}),
        ("granite", {"logits_scaling": 8.0}),
    ],
)
def test_an_architecture_that_would_be_computed_wrongly_is_refused(
    tmp_path: Path, architecture: str, changes: dict[str, object]
) -> None:
    refuse(write_tiny_model(tmp_path / architecture, architecture=architecture, **changes), architecture)


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [("qwen3", {"head_dim": 8}), ("gpt2", {"num_key_value_heads": None}), ("gemma3_text", {"head_dim": 8})],
)
def test_other_decoders_equal_transformers(tmp_path: Path, architecture: str, changes: dict[str, object]) -> None:
    folder = write_tiny_model(tmp_path / architecture, architecture=architecture, **changes)
    model = TransformersLanguageModel(folder, threads=1, dtype="float32")
    requests = [GenerationRequest(question="Why, and since when?"), GenerationRequest(question="Who?")]
    prompts = [model.layout.lay_out(request, 900) for request in requests]
    logits = model._decoder.prompt_logits(prompts)
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for row, prompt in enumerate(prompts):
        with torch.inference_mode():
            expected = reference(input_ids=torch.tensor([[*prompt.prefix_ids, *prompt.rest_ids]])).logits[0, -1]
        torch.testing.assert_close(logits[row], expected, atol=1e-3, rtol=0)
