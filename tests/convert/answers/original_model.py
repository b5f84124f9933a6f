"""The forward pass of the original code, from the original tensors: InternVLChatModel with an InternLM2 decoder.

Written after modeling_intern_vit.py, modeling_internvl_chat.py and modeling_internlm2.py; float32, no cache.
"""

from __future__ import annotations

import pathlib

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

Tensors = dict[str, Tensor]


def load(directory: pathlib.Path) -> Tensors:
    tensors: Tensors = {}
    for file in sorted(directory.glob("*.safetensors")):
        tensors |= load_file(file)
    return {name: tensor.float() for name, tensor in tensors.items()}


def inner(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


def tower_norm(x: Tensor, layer: Tensors, name: str, config: dict) -> Tensor:
    weight, eps = layer[f"{name}.weight"], config["layer_norm_eps"]
    if config["norm_type"] == "rms_norm":
        return rms_norm(x, weight, eps)
    return functional.layer_norm(x, weight.shape, weight, layer[f"{name}.bias"], eps)


def tower_attention(x: Tensor, layer: Tensors, config: dict) -> Tensor:
    tiles, tokens, width = x.shape
    heads = config["num_attention_heads"]
    qkv = functional.linear(x, layer["attn.qkv.weight"], layer.get("attn.qkv.bias"))
    q, k, v = qkv.reshape(tiles, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4).unbind(0)  # [tiles, H, T, D]
    if config["qk_normalization"]:
        q, k = (
            rms_norm(part.transpose(1, 2).flatten(-2, -1), layer[f"attn.{norm}.weight"], config["layer_norm_eps"])
            .view(tiles, tokens, heads, width // heads)
            .transpose(1, 2)
            for part, norm in ((q, "q_norm"), (k, "k_norm"))
        )
    attention = (q * (width // heads) ** -0.5 @ k.transpose(-2, -1)).softmax(-1)
    out = (attention @ v).transpose(1, 2).reshape(tiles, tokens, width)
    return functional.linear(out, layer["attn.proj.weight"], layer["attn.proj.bias"])


def visual_tokens(tensors: Tensors, config: dict, pixel_values: Tensor) -> Tensor:
    """[tiles, 3, S, S] => [tiles, tokens of a tile, C]"""
    vision, weights = config["vision_config"], inner(tensors, "vision_model.")
    patches = functional.conv2d(
        pixel_values,
        weights["embeddings.patch_embedding.weight"],
        weights["embeddings.patch_embedding.bias"],
        stride=vision["patch_size"],
    )
    x = patches.flatten(2).transpose(1, 2)
    x = torch.cat([weights["embeddings.class_embedding"].expand(len(x), -1, -1), x], dim=1)
    x = x + weights["embeddings.position_embedding"]
    for i in range(vision["num_hidden_layers"]):
        layer = inner(weights, f"encoder.layers.{i}.")
        x = x + tower_attention(tower_norm(x, layer, "norm1", vision), layer, vision) * layer["ls1"]
        hidden = functional.linear(
            tower_norm(x, layer, "norm2", vision), layer["mlp.fc1.weight"], layer["mlp.fc1.bias"]
        )
        x = (
            x
            + functional.linear(functional.gelu(hidden), layer["mlp.fc2.weight"], layer["mlp.fc2.bias"]) * layer["ls2"]
        )
    x = x[:, 1:]
    side = int(x.shape[1] ** 0.5)
    x = pixel_shuffle(x.reshape(len(x), side, side, -1)).flatten(1, 2)
    x = functional.layer_norm(x, x.shape[-1:], tensors["mlp1.0.weight"], tensors["mlp1.0.bias"])
    x = functional.gelu(functional.linear(x, tensors["mlp1.1.weight"], tensors["mlp1.1.bias"]))
    return functional.linear(x, tensors["mlp1.3.weight"], tensors["mlp1.3.bias"])


def pixel_shuffle(x: Tensor) -> Tensor:
    """ps_version v2: [n, W, H, C] => [n, W / 2, H / 2, 4 C]"""
    n, w, h, c = x.shape
    x = x.view(n, w, h // 2, c * 2).permute(0, 2, 1, 3).contiguous()
    return x.view(n, h // 2, w // 2, c * 4).permute(0, 2, 1, 3).contiguous()


def rotate(x: Tensor, theta: float) -> Tensor:
    """[H, T, D]"""
    size = x.shape[-1]
    angles = torch.outer(torch.arange(x.shape[1]).float(), theta ** (-torch.arange(0, size, 2).float() / size))
    cos, sin = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin


def internlm2_attention(x: Tensor, layer: Tensors, config: dict) -> Tensor:
    tokens, width = x.shape
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    groups, size = heads // kv_heads, width // heads
    qkv = functional.linear(x, layer["attention.wqkv.weight"]).view(tokens, kv_heads, groups + 2, size)
    q = qkv[:, :, :groups].reshape(tokens, heads, size).transpose(0, 1)  # [H, T, D]
    k, v = (part.transpose(0, 1).repeat_interleave(groups, dim=0) for part in (qkv[:, :, -2], qkv[:, :, -1]))
    q, k = rotate(q, config["rope_theta"]), rotate(k, config["rope_theta"])
    scores = q @ k.transpose(-2, -1) / size**0.5
    scores = scores.masked_fill(torch.ones(tokens, tokens).tril() == 0, -torch.inf)
    return functional.linear((scores.softmax(-1) @ v).transpose(0, 1).flatten(1), layer["attention.wo.weight"])


def internlm2_logits(tensors: Tensors, config: dict, embeddings: Tensor) -> Tensor:
    """[T, C] => [T, V], within the context, where dynamic rope changes nothing."""
    text, weights = config["llm_config"], inner(tensors, "language_model.")
    x, eps = embeddings, text["rms_norm_eps"]
    for i in range(text["num_hidden_layers"]):
        layer = inner(weights, f"model.layers.{i}.")
        x = x + internlm2_attention(rms_norm(x, layer["attention_norm.weight"], eps), layer, text)
        y = rms_norm(x, layer["ffn_norm.weight"], eps)
        gate, up = (functional.linear(y, layer[f"feed_forward.{w}.weight"]) for w in ("w1", "w3"))
        x = x + functional.linear(functional.silu(gate) * up, layer["feed_forward.w2.weight"])
    return functional.linear(rms_norm(x, weights["model.norm.weight"], eps), weights["output.weight"])
