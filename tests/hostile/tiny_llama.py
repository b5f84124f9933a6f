"""A tiny LLaVA with the tokenizer of Llama (tests/golden/text/llama) and random weights: writes its directory."""

from __future__ import annotations

import json
import pathlib
import shutil

import numpy as np

TEXT = pathlib.Path(__file__).resolve().parents[1] / "golden" / "text" / "llama"
WIDTH, INNER, LAYERS, HEADS, VOCABULARY, CONTEXT = 32, 64, 2, 4, 1072, 4096
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}
IMAGE_TOKEN = 1067


def shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight, as the hub's LLaVA directories name them."""
    found: dict[str, tuple[int, ...]] = {}
    for i in range(LAYERS):
        at = f"language_model.model.layers.{i}."
        found |= {f"{at}self_attn.{name}_proj.weight": (WIDTH, WIDTH) for name in "qkvo"}
        found |= {f"{at}mlp.{name}_proj.weight": (INNER, WIDTH) for name in ("gate", "up")}
        found[f"{at}mlp.down_proj.weight"] = (WIDTH, INNER)
        found |= {f"{at}{name}.weight": (WIDTH,) for name in ("input_layernorm", "post_attention_layernorm")}
    found["language_model.model.embed_tokens.weight"] = found["language_model.lm_head.weight"] = (VOCABULARY, WIDTH)
    found["language_model.model.norm.weight"] = (WIDTH,)

    tower, width, inner = "vision_tower.vision_model.", TOWER["hidden_size"], TOWER["intermediate_size"]
    found[f"{tower}embeddings.class_embedding"] = (width,)
    found[f"{tower}embeddings.patch_embedding.weight"] = (width, 3, 14, 14)
    found[f"{tower}embeddings.position_embedding.weight"] = (5, width)
    norms = [f"{tower}{name}" for name in ("pre_layrnorm", "post_layernorm")]
    for i in range(TOWER["num_hidden_layers"]):
        at = f"{tower}encoder.layers.{i}."
        norms += [f"{at}{name}" for name in ("layer_norm1", "layer_norm2")]
        linears = [(f"self_attn.{name}_proj", width, width) for name in ("q", "k", "v", "out")]
        for name, out, inputs in [*linears, ("mlp.fc1", inner, width), ("mlp.fc2", width, inner)]:
            found |= {f"{at}{name}.weight": (out, inputs), f"{at}{name}.bias": (out,)}
    for norm in norms:
        found |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    for name, inputs in (("linear_1", width), ("linear_2", WIDTH)):
        at = f"multi_modal_projector.{name}"
        found |= {f"{at}.weight": (WIDTH, inputs), f"{at}.bias": (WIDTH,)}
    return found


def write(directory: pathlib.Path) -> None:
    text = {
        "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT,
    }  # fmt: skip
    config = {
        "model_type": "llava", "image_token_index": IMAGE_TOKEN, "eos_token_id": 2, "text_config": text,
        "vision_config": {"model_type": "clip_vision_model", **TOWER},
    }  # fmt: skip
    processor = {
        "image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 28},
        "crop_size": {"height": 28, "width": 28},
    }  # fmt: skip
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "preprocessor_config.json").write_text(json.dumps(processor))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(TEXT / name, directory / name)

    random = np.random.default_rng(0)
    header, data = {}, bytearray()
    for name, shape in shapes().items():
        values = random.standard_normal(shape, dtype=np.float32) * 0.05 + (1.0 if "norm" in name else 0.0)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text_header = json.dumps(header).encode()
    (directory / "model.safetensors").write_bytes(len(text_header).to_bytes(8, "little") + text_header + data)
