"""SmolLM2-135M-Instruct as Hugging Face names and arrays, read from a GGUF file.

Only numpy and gguf: the building machine needs no deep learning framework.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

LAYER_NAMES = {
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
GGUF_CONTROL_TOKEN = 3


@dataclass(frozen=True)
class Decoder:
    config: dict  # a LlamaConfig
    weights: dict[str, np.ndarray]  # f32, named as in LlamaForCausalLM; lm_head is tied to embed_tokens
    tokenizer: dict  # the content of tokenizer.json


def read_decoder(path: Path) -> Decoder:
    reader = GGUFReader(path)
    config = _config(reader)
    return Decoder(config, _weights(reader, config), _tokenizer(reader))


def read_tokenizer(path: Path) -> dict:
    """Decoder.tokenizer without the weights, which take longer."""
    return _tokenizer(GGUFReader(path))


def _field(reader: GGUFReader, key: str) -> str | int | float | bool | list:
    if key not in reader.fields:
        raise ValueError(f"the GGUF file has no field {key}")
    return reader.fields[key].contents()


def _config(reader: GGUFReader) -> dict:
    heads = _field(reader, "llama.attention.head_count")
    width = _field(reader, "llama.embedding_length")
    eps = np.float32(_field(reader, "llama.attention.layer_norm_rms_epsilon"))
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": _field(reader, "llama.vocab_size"),
        "hidden_size": width,
        "intermediate_size": _field(reader, "llama.feed_forward_length"),
        "num_hidden_layers": _field(reader, "llama.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": _field(reader, "llama.attention.head_count_kv"),
        "head_dim": width // heads,
        "hidden_act": "silu",
        "max_position_embeddings": _field(reader, "llama.context_length"),
        "rms_norm_eps": float(str(eps)),  # 1e-05, not the nearest float32 written in double precision
        "rope_theta": _field(reader, "llama.rope.freq_base"),
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": _field(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": _field(reader, "tokenizer.ggml.eos_token_id"),
        "pad_token_id": _field(reader, "tokenizer.ggml.padding_token_id"),
    }


def _weights(reader: GGUFReader, config: dict) -> dict[str, np.ndarray]:
    tensors = {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    weights = {
        "model.embed_tokens.weight": tensors["token_embd.weight"],
        "model.norm.weight": tensors["output_norm.weight"],
    }
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for layer in range(config["num_hidden_layers"]):
        for theirs, ours in LAYER_NAMES.items():
            weight = tensors[f"blk.{layer}.{theirs}.weight"]
            if theirs in heads:
                weight = _unpermute(weight, heads[theirs])
            weights[f"model.layers.{layer}.{ours}.weight"] = weight
    return weights


def _unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp stores the two rotary halves of each head interleaved; Hugging Face keeps them apart."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)  # [H, D/2, 2, C]
    return pairs.swapaxes(1, 2).reshape(rows, columns)  # [H, 2, D/2, C]


def _tokenizer(reader: GGUFReader) -> dict:
    tokens = _field(reader, "tokenizer.ggml.tokens")
    types = _field(reader, "tokenizer.ggml.token_type")
    merges = _field(reader, "tokenizer.ggml.merges")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            special_token(index, token)
            for index, (token, kind) in enumerate(zip(tokens, types, strict=True))
            if kind == GGUF_CONTROL_TOKEN
        ],
        "normalizer": None,
        # What llama.cpp calls the "smollm" pre-tokenizer: single digits, then GPT-2's splitting.
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {**byte_level, "use_regex": True},
            ],
        },
        "post_processor": None,
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in merges],
        },
    }


def special_token(index: int, content: str) -> dict:
    """An entry of tokenizer.json's added_tokens."""
    return {
        "id": index,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
