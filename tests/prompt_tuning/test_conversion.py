"""What is not one sound GGUF is refused whole; the sound one is tried by `frag models pull` itself."""

from pathlib import Path

import pytest

from frag.errors import ModelError
from frag.models import Kind, locate
from frag.settings import ModelSettings
from prompt_tuning.conversion import convert_gguf


@pytest.mark.parametrize("num_files", [0, 2])
def test_there_must_be_exactly_one_file(tmp_path: Path, num_files: int) -> None:
    (tmp_path / "raw").mkdir()
    for number in range(num_files):
        (tmp_path / "raw" / f"{number}.gguf").write_bytes(b"")
    with pytest.raises(ModelError, match=f"{num_files} GGUF"):
        convert_gguf(tmp_path / "raw", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_the_built_in_model_was_converted_whole(real_models: ModelSettings) -> None:
    from transformers import AutoTokenizer

    folder = locate(real_models.language_model, Kind.LANGUAGE_MODEL)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    turn = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert turn.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.decode(tokenizer("Ängstlich 2026: 12,345 × ß").input_ids) == "Ängstlich 2026: 12,345 × ß"
