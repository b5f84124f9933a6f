"""DINOv2 ViT-S/14 as Hugging Face names and arrays, read from an ONNX graph that has it as `backbone`."""

import re
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

PREFIX = "backbone."
# The exporter turned the weights of linear layers into transposed anonymous constants, so they are found by
# the name of the node that multiplies by them.
LINEAR = re.compile(r"/backbone/encoder/layer\.(\d+)/(.+)/MatMul")
# Likewise the position embedding, which it split into the class token's and the patches'.
CLASS_POSITION = "onnx::Concat_1957"
PATCH_POSITIONS = "onnx::Reshape_1962"


@dataclass(frozen=True)
class VisionTower:
    config: dict  # a Dinov2Config
    weights: dict[str, np.ndarray]  # f32, named as in Dinov2Model


def read_vision_tower(onnx_bytes: bytes) -> VisionTower:
    graph = onnx.load_from_string(onnx_bytes).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

    weights = {name.removeprefix(PREFIX): value for name, value in constants.items() if name.startswith(PREFIX)}
    for node in graph.node:
        place = LINEAR.fullmatch(node.name)
        if place and node.input[1] in constants:
            layer, module = place[1], place[2].replace("/", ".")
            weights[f"encoder.layer.{layer}.{module}.weight"] = constants[node.input[1]].T
    positions = [constants[CLASS_POSITION], constants[PATCH_POSITIONS]]  # [1, 1, C], [1, 37 * 37, C]
    weights["embeddings.position_embeddings"] = np.concatenate(positions, axis=1)
    return VisionTower(_config(weights), weights)


def _config(weights: dict[str, np.ndarray]) -> dict:
    width, channels, patch, _ = weights["embeddings.patch_embeddings.projection.weight"].shape
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
    grid = round((weights["embeddings.position_embeddings"].shape[1] - 1) ** 0.5)
    return {
        "model_type": "dinov2",
        "architectures": ["Dinov2Model"],
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,  # every DINOv2 has heads of 64
        "mlp_ratio": 4,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-6,
        "image_size": grid * patch,  # of the position embedding; other sizes are interpolated
        "patch_size": patch,
        "num_channels": channels,
        "qkv_bias": True,
        "use_swiglu_ffn": False,
        "use_mask_token": False,
    }
