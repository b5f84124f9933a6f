"""Variants of InternVL: shapes of pictures, conversations, and what is refused."""

from variant_parts import (
    Add,
    Removed,
    number_of_tokens,
    other_processors,
    picture_last,
    pictures_and_conversations,
    says,
)

SPEC = "internvl"
VISION = "/vision_config"


def internvl_variants(add: Add) -> None:
    for spec in ("internvl", "internvl3_5"):
        pictures_and_conversations(add, spec, "What do you see here?")
        picture_last(add, spec)
    decoder(add)
    vision_tower(add)
    files(add)
    weights(add)


def decoder(add: Add) -> None:
    add(
        f"{SPEC} llama",
        spec=SPEC,
        config={"/text_config/model_type": "llama"},
    )
    add(f"{SPEC} text model_type missing", spec=SPEC, config={"/text_config/model_type": Removed})
    add(
        f"{SPEC} mixture of experts",
        says("text_config.model_type"),
        spec=SPEC,
        config={"/text_config/model_type": "qwen3_moe"},
    )
    add(
        f"{SPEC} dynamic rope without factor",
        says("rope_scaling.factor"),
        spec=SPEC,
        config={"/text_config/rope_scaling/factor": Removed},
    )
    add(
        f"{SPEC} yarn",
        says("rope_scaling.rope_type", "yarn"),
        spec=SPEC,
        config={"/text_config/rope_scaling/rope_type": "yarn"},
    )
    add(
        f"{SPEC} windows in use",
        says("sliding_window"),
        spec=SPEC,
        config={"/text_config/sliding_window": 64, "/text_config/use_sliding_window": True},
    )
    add(
        f"{SPEC} image token beyond the vocabulary",
        says("image_token_id", "160"),
        spec=SPEC,
        config={"/image_token_id": 160},
    )
    add(
        f"{SPEC} another image token",
        ("tokenizer_config.json", "context_image_token", "159"),
        spec=SPEC,
        config={"/image_token_id": 158},
    )
    add(
        f"{SPEC} another layout",
        says("model_type", "internvl_chat", "./dev convert"),
        spec=SPEC,
        config={"/model_type": "internvl_chat"},
    )


def vision_tower(add: Add) -> None:
    def field(name: str, value: object, *words: str) -> None:
        add(f"{SPEC} {name} {value}", says(*words) if words else (), spec=SPEC, config={f"{VISION}/{name}": value})

    field("hidden_act", "quick_gelu")
    field("hidden_act", "relu", "vision_config.hidden_act", "relu")
    field("image_size", 16)
    field("image_size", [16, 32], "vision_config.image_size", "[16,32]")
    field("image_size", 20, "vision_config.image_size", "20")
    field("patch_size", 4)
    field("layer_norm_eps", 0.01)
    field("model_type", "clip_vision_model", "vision_config.model_type")
    field("norm_type", "batch_norm", "vision_config.norm_type")
    field("use_mean_pooling", False, "vision_config.use_mean_pooling")
    field("use_absolute_position_embeddings", False, "vision_config.use_absolute_position_embeddings")
    field("use_mask_token", True)
    field("num_hidden_layers", 2)
    field("quantization_config", {"quant_method": "awq"}, "vision_config.quantization_config")
    for name, value in (
        ("downsample_ratio", 0.25),
        ("projector_hidden_act", "relu"),
        ("vision_feature_layer", -2),
        ("vision_feature_layer", [-1]),
        ("vision_feature_select_strategy", "full"),
    ):
        add(f"{SPEC} {name} {value}", says(name), spec=SPEC, config={f"/{name}": value})


def files(add: Add) -> None:
    pre, tok = "preprocessor_config.json", "tokenizer_config.json"
    add(f"{SPEC} one tile", spec=SPEC, preprocessor={"/max_patches": 1})
    add(f"{SPEC} at least four tiles", spec=SPEC, preprocessor={"/min_patches": 4})
    add(f"{SPEC} crop_to_patches", spec=SPEC, preprocessor={"/crop_to_patches": True})
    add(f"{SPEC} bilinear", spec=SPEC, preprocessor={"/resample": 2})
    add(f"{SPEC} default means", spec=SPEC, preprocessor={"/image_mean": Removed, "/image_std": Removed})
    add(f"{SPEC} fewest above most tiles", (pre, "min_patches", "7"), spec=SPEC, preprocessor={"/min_patches": 7})
    add(
        f"{SPEC} another tile size",
        (pre, "size is 24x24", "image_size is 16"),
        spec=SPEC,
        preprocessor={"/size": {"height": 24, "width": 24}},
    )
    add(f"{SPEC} not resized", (pre, "do_resize"), spec=SPEC, preprocessor={"/do_resize": False})
    other_processors(add, SPEC)
    number_of_tokens(add, SPEC, "image_seq_length", 16, 4, usual=256)
    names = {f"{path}/start_image_token": Removed for path in ("", "/extra_special_tokens")}
    add(f"{SPEC} start token missing", (tok, "start_image_token"), spec=SPEC, tokenizer_config=names)
    names = {f"{path}/context_image_token": Removed for path in ("", "/extra_special_tokens")}
    add(f"{SPEC} image token missing", (tok, "context_image_token"), spec=SPEC, tokenizer_config=names)


def weights(add: Add) -> None:
    embeddings, head = "language_model.model.embed_tokens.weight", "language_model.lm_head.weight"
    other_head = {"add": [{"name": head, "shape": [160, 96]}]}
    add(f"{SPEC} shards", spec=SPEC, weights={"shards": 3})
    add(f"{SPEC} tied by default, another lm_head", spec=SPEC, weights=other_head)
    add(f"{SPEC} tied by default, lm_head only", spec=SPEC, weights={"rename": {embeddings: head}})
    add(f"{SPEC} not tied", spec=SPEC, config={"/tie_word_embeddings": False}, weights=other_head)
    add(
        f"{SPEC} not tied, no lm_head",
        ("model.safetensors", "lm_head.weight"),
        spec=SPEC,
        config={"/tie_word_embeddings": False},
    )
    lambda_1 = "vision_tower.encoder.layer.1.lambda_1"
    add(f"{SPEC} without a layer scale", ("model.safetensors", lambda_1), spec=SPEC, weights={"drop": [lambda_1]})
    bias = "vision_tower.encoder.layer.0.attention.q_proj.bias"
    add(f"{SPEC} without a bias", ("model.safetensors", bias), spec=SPEC, weights={"drop": [bias]})
    norm = "model.vision_tower.encoder.layer.2.attention.k_norm.weight"
    add(
        "internvl3_5 without a norm",
        ("model.safetensors", "k_norm.weight"),
        spec="internvl3_5",
        weights={"drop": [norm]},
    )
