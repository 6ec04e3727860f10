"""A GGUF file to the folder that the `transformers` backend loads, once, when a model is pulled.

Knows Llama-shaped models only. The weights are dequantised and kept as bfloat16 safetensors; the tokenizer and its
chat template come from the GGUF too. Passed to `frag.models.pull` as `convert`.
"""

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frag.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTER_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER = re.compile(r"blk\.(\d+)\.(\w+)\.weight")


def convert_gguf(raw: Path, target: Path) -> None:
    """Makes the model folder `target` from the one `*.gguf` in the folder `raw`; all or nothing.

    Raises:
        ModelError: There is not exactly one GGUF, it is damaged or not a plain Llama, or it has no chat template.
        OSError: `target` cannot be written.
    """
    files = sorted(raw.glob("*.gguf"))
    if len(files) != 1:
        raise ModelError(f"{raw} holds {len(files)} GGUF files instead of one.", "Give the folder of one model.")
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _convert(files[0], partial)
        partial.rename(target)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:  # what its readers meet
        raise ModelError(
            f"{files[0].name} is not a whole GGUF ({type(error).__name__}).", "Pull the model again."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _convert(file: Path, folder: Path) -> None:
    from gguf import GGUFReader

    reader = GGUFReader(file)
    if (architecture := _field(reader, "general.architecture")) != "llama":
        raise ModelError(f"{file.name} is of architecture {architecture}, not llama.", "Use safetensors for it.")
    _save_tokenizer(file, reader, folder)
    _save_model(file, reader, folder)


def _save_tokenizer(file: Path, reader: Any, folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
    if not tokenizer.chat_template or tokenizer.eos_token_id is None or tokenizer.pad_token_id is None:
        raise ModelError(f"{file.name} lacks a chat template, an end or a padding token.", "Use an instruct model.")
    if _field(reader, "tokenizer.ggml.pre") == "smollm":
        _split_digits(tokenizer)
    tokenizer.save_pretrained(folder)


def _split_digits(tokenizer: Any) -> None:
    """Mends what transformers does not read from the GGUF: SmolLM splits off every digit before byte-level BPE."""
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
    )


def _save_model(file: Path, reader: Any, folder: Path) -> None:
    import torch
    from transformers import AutoConfig, GenerationConfig, LlamaForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # the caller shows one of its own
    config = AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name)
    config.dtype = torch.bfloat16
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    weights = _read_weights(reader, config.num_attention_heads, config.num_key_value_heads)
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    if absent := model.state_dict().keys() - weights.keys() - tied:
        raise ModelError(f"{len(absent)} tensors are missing in {file.name}.", "Pull the model again.")
    model.load_state_dict(weights, assign=True, strict=False)
    model.tie_weights()
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    model.save_pretrained(folder)


def _read_weights(reader: Any, num_heads: int, num_key_value_heads: int) -> "dict[str, Tensor]":
    """Every tensor of the file under its `transformers` name, dequantised, bfloat16."""
    import torch
    from gguf import dequantize

    weights = {}
    for tensor in reader.tensors:
        name = _name_of(tensor.name)
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        if name.endswith("q_proj.weight"):
            values = _rotary_halves(values, num_heads)
        elif name.endswith("k_proj.weight"):
            values = _rotary_halves(values, num_key_value_heads)
        weights[name] = values.to(torch.bfloat16)
    return weights


def _name_of(name: str) -> str:
    """The `transformers` name of a tensor. To leave one out would give another model than the file holds."""
    match = _LAYER.fullmatch(name)
    if match is not None and match[2] in _LAYER_NAMES:
        return f"model.layers.{match[1]}.{_LAYER_NAMES[match[2]]}.weight"
    if name not in _OUTER_NAMES:
        raise ModelError(f"The GGUF has a tensor {name}, which a plain Llama has not.", "Use safetensors for it.")
    return _OUTER_NAMES[name]


def _rotary_halves(weight: "Tensor", num_heads: int) -> "Tensor":
    """Undoes GGUF's interleaving of the rows that rotate together: [heads · d, in] to halves, as transformers has."""
    rows = weight.view(num_heads, -1, 2, weight.shape[-1])
    return rows.transpose(1, 2).reshape(weight.shape)


def _field(reader: Any, key: str) -> str:
    field = reader.get_field(key)
    return str(field.contents()) if field is not None else ""
