"""The decoder of a directory: fields of transformers' LlamaConfig and Qwen2Config, and names of its tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fields import Fields

SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
    "max_position_embeddings",
)
ROPE_TYPES = ("default", "dynamic", "linear", "llama3")  # the server's
LAYER = (
    *(f"self_attn.{part}_proj" for part in "qkvo"),
    *(f"mlp.{part}_proj" for part in ("gate", "up", "down")),
    "input_layernorm",
    "post_attention_layernorm",
)


@dataclasses.dataclass(frozen=True)
class Decoder:
    architecture: str
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool


def read_decoder(
    fields: Fields, architectures: Mapping[str, str], rope_theta: float | None = None
) -> tuple[Decoder, dict]:
    """What the weights need to know, and transformers' text_config. `architectures`: class of the language model =>
    transformers' model_type. `rope_theta`: where the file does not say; None: it must."""
    names = fields.need("architectures", list)
    architecture = names[0] if names else None
    if not isinstance(architecture, str) or architecture not in architectures:
        raise fields.refused("architectures", f"is {names}; supported: {', '.join(architectures)}")
    model_type = architectures[architecture]
    text = {"architectures": ["Qwen2ForCausalLM" if model_type == "qwen2" else "LlamaForCausalLM"]}
    text |= {"model_type": model_type, **{name: fields.count(name) for name in SIZES}}
    text["rms_norm_eps"] = fields.need("rms_norm_eps", float)
    given = rope_theta is None or fields.has("rope_theta")
    text["rope_theta"] = fields.need("rope_theta", float) if given else rope_theta
    text["hidden_act"] = fields.only("hidden_act", "silu")
    text["tie_word_embeddings"] = fields.only("tie_word_embeddings", False, True, missing=False)
    if fields.has("rope_scaling"):
        scaling = fields.object("rope_scaling")
        scaling.only("rope_type" if scaling.has("rope_type") else "type", *ROPE_TYPES)
    text |= fields.copy("bos_token_id", "eos_token_id", "pad_token_id", "rope_scaling")
    if architecture == "InternLM2ForCausalLM":
        fields.only("bias", False, missing=True)
    elif model_type == "llama":
        fields.only("attention_bias", False, missing=False)
        fields.only("mlp_bias", False, missing=False)
    else:
        most = text["max_position_embeddings"]
        if fields.optional("use_sliding_window", bool) and (fields.optional("sliding_window", int) or most) < most:
            raise fields.refused("use_sliding_window", f"is true, with a sliding_window below {most}")
        text |= fields.copy("sliding_window", "use_sliding_window", "max_window_layers")
    heads, kv_heads = text["num_attention_heads"], text["num_key_value_heads"]
    head_dim = fields.optional("head_dim", int) or text["hidden_size"] // heads
    if head_dim * heads != text["hidden_size"]:
        raise fields.refused("hidden_size", f"is {text['hidden_size']}, not {heads} heads of {head_dim}")
    if head_dim % 8:
        raise fields.refused("hidden_size", f"is {text['hidden_size']}: heads of {head_dim}, not a multiple of 8")
    if heads % kv_heads:
        raise fields.refused("num_key_value_heads", f"is {kv_heads}; the {heads} heads are no multiple of it")
    layers = text["num_hidden_layers"]
    return Decoder(architecture, layers, heads, kv_heads, head_dim, text["tie_word_embeddings"]), text


def tensor_names(decoder: Decoder) -> list[str]:
    """Of a Llama or Qwen2 checkpoint: model.embed_tokens.weight, ..., lm_head.weight."""
    names = ["model.embed_tokens.weight", "model.norm.weight"]
    if not decoder.tied:
        names.append("lm_head.weight")
    for i in range(decoder.layers):
        names += [f"model.layers.{i}.{name}.weight" for name in LAYER]
        if decoder.architecture == "Qwen2ForCausalLM":
            names += [f"model.layers.{i}.self_attn.{part}_proj.bias" for part in "qkv"]
    return names
