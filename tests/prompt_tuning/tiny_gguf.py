"""A GGUF of a tiny Llama, written as llama.cpp writes one: rotary rows interleaved, norms in float32, tokens inside."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType, quantize
from torch import Tensor

from tests.tiny_model import CHATML, SPECIAL_TOKENS

_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "embed_tokens": "token_embd",
    "norm": "output_norm",
}


def write_tiny_gguf(
    file: Path,
    model: object,
    *,
    architecture: str = "llama",
    chat_template: str = CHATML,
    without: Collection[str] = (),
    extra: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Writes a transformers Llama with byte tokens; `without` and `extra` name tensors as GGUF does."""
    config = model.config
    writer = GGUFWriter(file, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, chat_template, config.vocab_size)
    tensors = {_name_of(name): _laid_out(name, weight, config) for name, weight in model.model.state_dict().items()}
    for name, values in {**tensors, **(extra or {})}.items():
        if name not in without:
            packed = name.startswith("blk") and values.ndim == 2
            kind = GGMLQuantizationType.Q4_1 if packed else GGMLQuantizationType.F32
            writer.add_tensor(name, quantize(values, kind) if packed else values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_tokenizer(writer: GGUFWriter, chat_template: str, size: int) -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = [*SPECIAL_TOKENS, *sorted(ByteLevel.alphabet()), "ab"]
    tokens += [f"<unused{index}>" for index in range(size - len(tokens))]
    control = len(SPECIAL_TOKENS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL] * control + [TokenType.NORMAL] * (len(tokens) - control))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    if chat_template:
        writer.add_chat_template(chat_template)


def _name_of(name: str) -> str:
    stem = name.removesuffix(".weight")
    if not stem.startswith("layers."):
        return f"{_NAMES[stem]}.weight"
    _, layer, part = stem.split(".", 2)
    return f"blk.{layer}.{_NAMES[part]}.weight"


def _laid_out(name: str, weight: Tensor, config: object) -> np.ndarray:
    """Rows of halves [a0 a1 b0 b1] become pairs [a0 b0 a1 b1] per head, as llama.cpp's converter has them."""
    values = weight.detach().float().numpy()
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for part, num_heads in heads.items():
        if part in name:
            halves = values.reshape(num_heads, 2, -1, values.shape[-1])
            return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))
    return values
