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
        ModelError: There is not exactly one GGUF, it is not a Llama, or it has no chat template.
    """
    files = sorted(raw.glob("*.gguf"))
    if len(files) != 1:
        raise ModelError(f"{raw} holds {len(files)} GGUF files instead of one.", "Give the folder of one model.")
    from gguf import GGUFReader

    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        reader = GGUFReader(files[0])
        _save_tokenizer(files[0], reader, partial)
        _save_model(files[0], reader, partial)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _save_tokenizer(file: Path, reader: Any, folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
    if not tokenizer.chat_template or tokenizer.eos_token_id is None or tokenizer.pad_token_id is None:
        raise ModelError(f"{file.name} lacks a chat template, an end or a padding token.", "Use an instruct model.")
    if _field(reader, "tokenizer.ggml.pre") == "smollm":
        _split_digits(tokenizer)
    tokenizer.padding_side = "left"
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
    if (architecture := _field(reader, "general.architecture")) != "llama":
        raise ModelError(f"{file.name} is of architecture {architecture}, not llama.", "Use safetensors for it.")
    config = AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name)
    config.dtype = torch.bfloat16
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    weights = _read_weights(reader, config.num_attention_heads, config.num_key_value_heads)
    model.load_state_dict(weights, assign=True, strict=not config.tie_word_embeddings)
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
        if (name := _name_of(tensor.name)) is None:
            continue
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        if name.endswith("q_proj.weight"):
            values = _rotary_halves(values, num_heads)
        elif name.endswith("k_proj.weight"):
            values = _rotary_halves(values, num_key_value_heads)
        weights[name] = values.to(torch.bfloat16)
    return weights


def _name_of(name: str) -> str | None:
    if (match := _LAYER.fullmatch(name)) is None:
        return _OUTER_NAMES.get(name)
    layer, part = match.groups()
    return f"model.layers.{layer}.{_LAYER_NAMES[part]}.weight" if part in _LAYER_NAMES else None


def _rotary_halves(weight: "Tensor", num_heads: int) -> "Tensor":
    """Undoes GGUF's interleaving of the rows that rotate together: [heads · d, in] to halves, as transformers has."""
    rows = weight.view(num_heads, -1, 2, weight.shape[-1])
    return rows.transpose(1, 2).reshape(weight.shape)


def _field(reader: Any, key: str) -> str:
    field = reader.get_field(key)
    return str(field.contents()) if field is not None else ""
