"""Rotary position embedding, in numpy and float64: default and llama3 scaling, M-RoPE, interleaved or not.

Letters: T tokens, H heads, D head size. `spans`: [begin, end, rows, cols] of each image's visual tokens.
"""

import math
from collections.abc import Sequence

import numpy as np
from transformers import PretrainedConfig


def head_size(config: PretrainedConfig) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def inverse_frequencies(config: PretrainedConfig) -> np.ndarray:
    """Of rotary embedding, [D / 2]: default or llama3 rope scaling."""
    rope = config.rope_parameters
    frequencies = rope["rope_theta"] ** (-np.arange(0, head_size(config), 2) / head_size(config))
    if rope["rope_type"] in ("default", "dynamic"):  # the second differs only beyond the context
        return frequencies
    if rope["rope_type"] != "llama3":
        raise ValueError(f"rope_type: {rope['rope_type']} is not known")
    # Turns over the context of the first training: many: keep; few: divide by the factor; between: blend.
    turns = rope["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    keep = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return keep * frequencies + (1.0 - keep) * frequencies / rope["factor"]


def rope_positions(spans: Sequence[Sequence[int]], num_tokens: int) -> np.ndarray:
    """[3, T]: M-RoPE's time, height and width of each token. Text counts on in all three; an image has one time,
    and its rows and columns count from there; what follows goes on after the larger of them."""
    positions, next_position = np.zeros((3, num_tokens), int), 0
    starts = {begin: (end, cols) for begin, end, _, cols, *_ in spans}
    token = 0
    while token < num_tokens:
        if token in starts:
            end, cols = starts[token]
            index = np.arange(end - token)
            positions[:, token:end] = next_position + np.stack([index * 0, index // cols, index % cols])
            next_position, token = positions[:, token:end].max() + 1, end
        else:
            positions[:, token] = next_position
            next_position, token = next_position + 1, token + 1
    return positions


def rope_angles(config: PretrainedConfig, spans: Sequence[Sequence[int]], num_tokens: int) -> np.ndarray:
    """[T, D / 2]"""
    frequencies = inverse_frequencies(config)
    sections = config.rope_parameters.get("mrope_section")
    if sections is None:
        return np.arange(num_tokens)[:, None] * frequencies
    axis_of_pair = np.repeat([0, 1, 2], sections)
    if config.model_type == "qwen3_vl_text":  # T H W T H W ..., and T where an axis has no pairs left
        turn = np.arange(len(frequencies)) // 3
        axis_of_pair = np.arange(len(frequencies)) % 3
        axis_of_pair[turn >= np.array(sections)[axis_of_pair]] = 0
    return rope_positions(spans, num_tokens)[axis_of_pair].T * frequencies


def rotate(x: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """x [T, H, D], angles [T, D / 2]; component c turns together with component c + D / 2."""
    first, second = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
