"""A GGUF becomes the model that it was written from, or nothing at all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from frag.errors import ModelError
from frag.models import Kind, locate
from frag.settings import ModelSettings
from frag.types import GenerationRequest
from prompt_tuning.conversion import convert_gguf
from prompt_tuning.language_model import TransformersLanguageModel
from tests.prompt_tuning.tiny_gguf import write_tiny_gguf
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> torch.nn.Module:
    """A Llama whose matrices are wide enough for groups of 32."""
    folder = write_tiny_model(tmp_path_factory.mktemp("source"), hidden_size=64, initializer_range=0.1)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def refuse(raw: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        convert_gguf(raw, raw.parent / "target")
    assert sorted(path.name for path in raw.parent.iterdir()) == ["raw"], "nothing half is left"


def test_what_is_converted_computes_as_its_source(raw: Path, source: torch.nn.Module) -> None:
    write_tiny_gguf(raw / "tiny.gguf", source)
    convert_gguf(raw, raw.parent / "target")
    made = AutoModelForCausalLM.from_pretrained(raw.parent / "target").eval()
    assert made.dtype is torch.bfloat16
    assert not list((raw.parent / "target").glob("*.bin"))
    for name, weight in source.state_dict().items():
        step = (weight.max() - weight.min()) / 15
        assert (made.state_dict()[name].float() - weight).abs().max() <= step, name
    ids = torch.randint(3, 259, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = source(input_ids=ids).logits, made.float()(input_ids=ids).logits
    correlation = torch.corrcoef(torch.stack((expected.flatten(), found.flatten())))[0, 1]
    assert correlation > 0.95


def test_what_is_converted_can_be_asked(raw: Path, source: torch.nn.Module) -> None:
    write_tiny_gguf(raw / "tiny.gguf", source)
    convert_gguf(raw, raw.parent / "target")
    model = TransformersLanguageModel(raw.parent / "target", threads=1)
    (generation,) = model.generate([GenerationRequest(question="Who?", min_new_tokens=3, max_new_tokens=3)])
    assert generation.num_new_tokens == 3
    tokenizer = AutoTokenizer.from_pretrained(raw.parent / "target", local_files_only=True)
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.decode(tokenizer("Ä 2026: 12,3 × ß").input_ids) == "Ä 2026: 12,3 × ß"


@pytest.mark.parametrize("num_files", [0, 2])
def test_there_must_be_exactly_one_file(raw: Path, num_files: int) -> None:
    for number in range(num_files):
        (raw / f"{number}.gguf").write_bytes(b"")
    refuse(raw, f"{num_files} GGUF")


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model " * 100, b"GGUF" + bytes(range(256)) * 4])
def test_garbage_is_refused(raw: Path, content: bytes) -> None:
    (raw / "tiny.gguf").write_bytes(content)
    refuse(raw, r"tiny\.gguf")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.99])
def test_a_file_cut_short_is_refused(raw: Path, source: torch.nn.Module, share: float) -> None:
    file = write_tiny_gguf(raw / "tiny.gguf", source)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    refuse(raw, r"tiny\.gguf")


@pytest.mark.parametrize("tensor", ["blk.1.ffn_up.weight", "token_embd.weight", "output_norm.weight"])
def test_a_missing_tensor_is_refused(raw: Path, source: torch.nn.Module, tensor: str) -> None:
    write_tiny_gguf(raw / "tiny.gguf", source, without=[tensor])
    refuse(raw, "missing")


@pytest.mark.parametrize("tensor", ["blk.0.attn_q.bias", "rope_freqs.weight", "blk.0.attn_q_norm.weight"])
def test_a_tensor_that_a_plain_llama_has_not_is_refused(raw: Path, source: torch.nn.Module, tensor: str) -> None:
    """To leave it out would give another model than the file holds."""
    write_tiny_gguf(raw / "tiny.gguf", source, extra={tensor: np.ones(8, dtype=np.float32)})
    refuse(raw, tensor.replace(".", r"\."))


def test_other_architectures_are_refused(raw: Path, source: torch.nn.Module) -> None:
    write_tiny_gguf(raw / "tiny.gguf", source, architecture="qwen2")
    refuse(raw, "qwen2")


def test_a_model_without_a_chat_template_is_refused(raw: Path, source: torch.nn.Module) -> None:
    write_tiny_gguf(raw / "tiny.gguf", source, chat_template="")
    refuse(raw, "chat template")


def test_the_built_in_model_was_converted_whole(real_models: ModelSettings) -> None:
    folder = locate(real_models.language_model, Kind.LANGUAGE_MODEL)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    turn = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert turn.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.decode(tokenizer("Ängstlich 2026: 12,345 × ß").input_ids) == "Ängstlich 2026: 12,345 × ß"
