"""The forward pass of VILA's code, from the original tensors: SigLIP or CLIP, a projector, and Llama.

Written after clip_encoder.py, siglip_encoder.py and base_projector.py of NVlabs/VILA; float32, no cache.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from original_model import Tensors, inner, rms_norm, rotate


def linear(x: Tensor, tensors: Tensors, name: str) -> Tensor:
    return functional.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def norm(x: Tensor, tensors: Tensors, name: str, eps: float) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps)


def activated(x: Tensor, clip: bool) -> Tensor:
    """CLIP's quick GELU, SigLIP's with tanh."""
    return x * torch.sigmoid(1.702 * x) if clip else functional.gelu(x, approximate="tanh")


def features(weights: Tensors, config: dict, pixels: Tensor) -> Tensor:
    """hidden_states[-2]: [n, 3, S, S] => [n, tokens, Cv]"""
    clip, heads = config["model_type"] == "clip_vision_model", config["num_attention_heads"]
    eps = 1e-5 if clip else 1e-6
    patches = functional.conv2d(
        pixels,
        weights["embeddings.patch_embedding.weight"],
        weights.get("embeddings.patch_embedding.bias"),
        stride=config["patch_size"],
    )
    x = patches.flatten(2).transpose(1, 2)
    if clip:
        x = torch.cat([weights["embeddings.class_embedding"].expand(len(x), 1, -1), x], dim=1)
    x = x + weights["embeddings.position_embedding.weight"]
    if clip:
        x = norm(x, weights, "pre_layrnorm", eps)
    for i in range(config["num_hidden_layers"] - 1):
        layer = inner(weights, f"encoder.layers.{i}.")
        y = norm(x, layer, "layer_norm1", eps)
        q, k, v = (
            linear(y, layer, f"self_attn.{part}_proj").unflatten(-1, (heads, -1)).transpose(1, 2) for part in "qkv"
        )
        attention = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
        x = x + linear((attention @ v).transpose(1, 2).flatten(2), layer, "self_attn.out_proj")
        y = activated(linear(norm(x, layer, "layer_norm2", eps), layer, "mlp.fc1"), clip)
        x = x + linear(y, layer, "mlp.fc2")
    return x


def flat_square(x: Tensor) -> Tensor:
    """[n, patches, Cv] => [n, visual tokens, 4 Cv]; zeros after the last column and row of an odd square."""
    n, patches, width = x.shape
    side = int(patches**0.5)
    x = functional.pad(x.view(n, side, side, width), (0, 0, 0, side % 2, 0, side % 2))
    side += side % 2
    x = x.reshape(n, side, side // 2, 2 * width).transpose(1, 2).contiguous()
    return x.view(n, -1, 4 * width)


def projected(x: Tensor, weights: Tensors, kind: str) -> Tensor:
    if kind == "linear":
        return functional.linear(x, weights["weight"], weights["bias"])
    first, last = "0", "2"
    if kind == "mlp_downsample":
        x, first, last = norm(flat_square(x), weights, "1", 1e-5), "2", "4"
    return linear(functional.gelu(linear(x, weights, first)), weights, last)


def attention(x: Tensor, layer: Tensors, config: dict) -> Tensor:
    tokens, heads, kv_heads = len(x), config["num_attention_heads"], config["num_key_value_heads"]
    q, k, v = (
        functional.linear(x, layer[f"self_attn.{part}_proj.weight"]).view(tokens, n, -1).transpose(0, 1)
        for part, n in (("q", heads), ("k", kv_heads), ("v", kv_heads))
    )  # [H, T, D]
    theta = config.get("rope_theta", 10000.0)
    q, k = rotate(q, theta), rotate(k, theta)
    k, v = (part.repeat_interleave(heads // kv_heads, dim=0) for part in (k, v))
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    scores = scores.masked_fill(torch.ones(tokens, tokens).tril() == 0, -torch.inf)
    return functional.linear((scores.softmax(-1) @ v).transpose(0, 1).flatten(1), layer["self_attn.o_proj.weight"])


def logits(weights: Tensors, config: dict, embeddings: Tensor) -> Tensor:
    """[T, C] => [T, V]"""
    x, eps = embeddings, config["rms_norm_eps"]
    for i in range(config["num_hidden_layers"]):
        layer = inner(weights, f"model.layers.{i}.")
        x = x + attention(rms_norm(x, layer["input_layernorm.weight"], eps), layer, config)
        y = rms_norm(x, layer["post_attention_layernorm.weight"], eps)
        gate, up = (functional.linear(y, layer[f"mlp.{part}_proj.weight"]) for part in ("gate", "up"))
        x = x + functional.linear(functional.silu(gate) * up, layer["mlp.down_proj.weight"])
    return functional.linear(rms_norm(x, weights["model.norm.weight"], eps), weights["lm_head.weight"])
