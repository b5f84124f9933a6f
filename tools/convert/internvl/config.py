"""config.json of the original code => that of transformers' InternVLConfig, and what its processor needs.

Fields and their defaults: configuration_internvl_chat.py, configuration_intern_vit.py, configuration_internlm2.py.
"""

from __future__ import annotations

import dataclasses

from decoder import Decoder, read_decoder
from fields import Fields

# Class of the language model => transformers' model_type.
DECODERS = {"InternLM2ForCausalLM": "llama", "LlamaForCausalLM": "llama", "Qwen2ForCausalLM": "qwen2"}
# InternVLVisionRMSNorm's, which transformers takes for the norms of q and k whatever the config says.
QK_NORM_EPS = 1e-6


@dataclasses.dataclass(frozen=True)
class Tower:
    layers: int
    width: int
    qkv_bias: bool
    qk_norm: bool
    norm_bias: bool


@dataclasses.dataclass(frozen=True)
class Model:
    config: dict  # transformers', without the ids of tokens
    decoder: Decoder
    tower: Tower
    image_size: int
    tile_tokens: int
    least_tiles: int
    most_tiles: int


def check_top(fields: Fields) -> None:
    """Refuses what transformers' InternVL does not have."""
    fields.only("model_type", "internvl_chat")
    fields.only("select_layer", -1, missing=-1)
    fields.only("downsample_ratio", 0.5, missing=0.5)
    fields.only("ps_version", "v2", missing="v1")
    fields.only("pad2square", False, missing=False)
    fields.only("dynamic_image_size", True, missing=False)
    fields.only("use_thumbnail", True, missing=False)
    fields.only("use_backbone_lora", 0, missing=0)
    fields.only("use_llm_lora", 0, missing=0)
    for part in (fields, fields.object("llm_config"), fields.object("vision_config")):
        part.only("quantization_config", None)


def read_tower(fields: Fields) -> tuple[Tower, dict]:
    """What the weights need to know, and transformers' vision_config."""
    sizes = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size")
    vision = {"model_type": "internvl_vision", **{name: fields.count(name) for name in sizes}}
    fields.heads()
    vision["num_channels"] = fields.only("num_channels", 3, missing=3)
    vision["hidden_act"] = fields.only("hidden_act", "gelu", missing="gelu")
    vision["norm_type"] = fields.only("norm_type", "layer_norm", "rms_norm")
    vision["layer_norm_eps"] = fields.need("layer_norm_eps", float)
    vision["attention_bias"] = fields.need("qkv_bias", bool)
    vision["use_qk_norm"] = fields.need("qk_normalization", bool)
    if vision["use_qk_norm"] and vision["layer_norm_eps"] != QK_NORM_EPS:
        raise fields.refused(
            "layer_norm_eps", f"is {vision['layer_norm_eps']}; with qk_normalization only {QK_NORM_EPS}"
        )
    vision |= {"use_absolute_position_embeddings": True, "use_mask_token": False, "use_mean_pooling": True}
    tower = Tower(
        layers=vision["num_hidden_layers"],
        width=vision["hidden_size"],
        qkv_bias=vision["attention_bias"],
        qk_norm=vision["use_qk_norm"],
        norm_bias=vision["norm_type"] == "layer_norm",
    )
    return tower, vision


def read_model(fields: Fields) -> Model:
    check_top(fields)
    decoder, text = read_decoder(fields.object("llm_config"), DECODERS)
    tower, vision = read_tower(fields.object("vision_config"))
    image_size, patch_size = vision["image_size"], vision["patch_size"]
    if (fields.optional("force_image_size", int) or image_size) != image_size:
        raise fields.refused("force_image_size", f"is not vision_config.image_size, {image_size}")
    if image_size % (2 * patch_size):
        raise fields.refused("vision_config.image_size", f"is {image_size}, not a multiple of 2 x {patch_size}")
    tile_tokens = (image_size // patch_size // 2) ** 2
    config = {
        "architectures": ["InternVLForConditionalGeneration"],
        "model_type": "internvl",
        "downsample_ratio": 0.5,
        "image_seq_length": tile_tokens,
        "projector_hidden_act": "gelu",
        "text_config": text,
        "tie_word_embeddings": decoder.tied,
        "vision_config": vision,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
        **fields.copy("torch_dtype"),
    }
    least, most = fields.count("min_dynamic_patch"), fields.count("max_dynamic_patch")
    if least > most:
        raise fields.refused("min_dynamic_patch", f"is {least}, above max_dynamic_patch, {most}")
    return Model(config, decoder, tower, image_size, tile_tokens, least, most)


def processor_files(model: Model) -> dict[str, dict]:
    """The files of InternVLProcessor, by name."""
    pixels = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406],  # ImageNet's
        "image_std": [0.229, 0.224, 0.225],
        "processor_class": "InternVLProcessor",
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": model.image_size, "width": model.image_size},
    }
    tiles = {"min_patches": model.least_tiles, "max_patches": model.most_tiles}
    return {
        "preprocessor_config.json": {"image_processor_type": "GotOcr2ImageProcessor", **pixels, **tiles},
        "processor_config.json": {
            "image_seq_length": model.tile_tokens,
            "processor_class": "InternVLProcessor",
        },
        "video_preprocessor_config.json": {"video_processor_type": "InternVLVideoProcessor", **pixels},
    }
