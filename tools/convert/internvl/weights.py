"""Names of the original code's tensors => those of transformers' InternVL, and how fused ones are split.

The new names are those that InternVL3's -hf directories have. Fused projections are split by rows.
"""

from __future__ import annotations

import numpy as np

from checkpoint import Parts
from decoder import Decoder, tensor_names
from internvl.config import Model, Tower

INTERNLM2_LAYER = {
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
TOWER_EMBEDDINGS = {
    "class_embedding": "cls_token",
    "position_embedding": "position_embeddings",
    "patch_embedding.weight": "patch_embeddings.projection.weight",
    "patch_embedding.bias": "patch_embeddings.projection.bias",
}
PROJECTOR = {"mlp1.0": "layer_norm", "mlp1.1": "linear_1", "mlp1.3": "linear_2"}


def all_parts(model: Model) -> dict[str, Parts]:
    """Of every tensor that a checkpoint of this model has."""
    projector = {
        f"{old}.{kind}": {f"multi_modal_projector.{new}.{kind}": None}
        for old, new in PROJECTOR.items()
        for kind in ("weight", "bias")
    }
    decoder = internlm2 if model.decoder.architecture == "InternLM2ForCausalLM" else llama_or_qwen2
    return tower(model.tower) | projector | decoder(model.decoder)


def tower(tower: Tower) -> dict[str, Parts]:
    parts = {
        f"vision_model.embeddings.{old}": {f"vision_tower.embeddings.{new}": None}
        for old, new in TOWER_EMBEDDINGS.items()
    }
    rows = np.arange(3 * tower.width).reshape(3, tower.width)
    for i in range(tower.layers):
        old, new = f"vision_model.encoder.layers.{i}", f"vision_tower.encoder.layer.{i}"
        for kind in ("weight", "bias") if tower.qkv_bias else ("weight",):
            names = (f"{new}.attention.{part}_proj.{kind}" for part in "qkv")
            parts[f"{old}.attn.qkv.{kind}"] = dict(zip(names, rows, strict=True))
        layer = {"ls1": "lambda_1", "ls2": "lambda_2"}
        for linear, name in (("attn.proj", "attention.projection_layer"), ("mlp.fc1",) * 2, ("mlp.fc2",) * 2):
            layer |= {f"{linear}.{kind}": f"{name}.{kind}" for kind in ("weight", "bias")}
        for norm, name in (("norm1", "layernorm_before"), ("norm2", "layernorm_after")):
            layer |= {f"{norm}.{kind}": f"{name}.{kind}" for kind in ("weight", "bias")[: 1 + tower.norm_bias]}
        if tower.qk_norm:
            layer |= {f"attn.{norm}.weight": f"attention.{norm}.weight" for norm in ("q_norm", "k_norm")}
        parts |= {f"{old}.{tensor}": {f"{new}.{name}": None} for tensor, name in layer.items()}
    return parts


def internlm2(decoder: Decoder) -> dict[str, Parts]:
    root = "language_model.model"
    parts: dict[str, Parts] = {
        f"{root}.tok_embeddings.weight": {f"{root}.embed_tokens.weight": None},
        f"{root}.norm.weight": {f"{root}.norm.weight": None},
    }
    if not decoder.tied:
        parts["language_model.output.weight"] = {"language_model.lm_head.weight": None}
    # Each KV head has its group of query heads, its key and its value.
    group = decoder.heads // decoder.kv_heads
    rows = np.arange((decoder.heads + 2 * decoder.kv_heads) * decoder.head_dim)
    rows = rows.reshape(decoder.kv_heads, group + 2, decoder.head_dim)
    q, k, v = rows[:, :group], rows[:, group], rows[:, group + 1]
    for i in range(decoder.layers):
        layer = f"{root}.layers.{i}"
        parts[f"{layer}.attention.wqkv.weight"] = {
            f"{layer}.self_attn.{name}_proj.weight": part.reshape(-1) for name, part in (("q", q), ("k", k), ("v", v))
        }
        parts |= {f"{layer}.{old}.weight": {f"{layer}.{new}.weight": None} for old, new in INTERNLM2_LAYER.items()}
    return parts


def llama_or_qwen2(decoder: Decoder) -> dict[str, Parts]:
    """They have their names."""
    return {f"language_model.{name}": {f"language_model.{name}": None} for name in tensor_names(decoder)}
