"""Variants of what the converter makes of VILA: projectors, feature selections, pictures, and what is refused."""

from variant_parts import Add, Removed, number_of_tokens, picture_last, pictures_and_conversations, says

SPEC, LINEAR = "vila1_5", "vila1_0"
STRATEGY = "vision_feature_select_strategy"
PROJECTOR = "model.multi_modal_projector"
SECOND = [
    {"name": f"{PROJECTOR}.linear_2.weight", "shape": [64, 64]},
    {"name": f"{PROJECTOR}.linear_2.bias", "shape": [64]},
]


def vila_variants(add: Add) -> None:
    for spec in (SPEC, LINEAR):
        pictures_and_conversations(add, spec)
        picture_last(add, spec)
    projectors(add)
    config(add)
    files(add)
    weights(add)


def projectors(add: Add) -> None:
    kind = "/mm_projector_type"
    add(f"{LINEAR} two layers", spec=LINEAR, config={kind: "mlp2x_gelu"}, weights={"add": SECOND})
    add(
        f"{LINEAR} two layers, the second missing",
        ("model.safetensors", "linear_2."),
        spec=LINEAR,
        config={kind: "mlp2x_gelu"},
    )
    add(
        f"{LINEAR} class token",
        spec=LINEAR,
        config={f"/{STRATEGY}": "full"},
        processor={"/image_seq_length": 17},
    )
    add(
        f"{SPEC} an even grid",
        spec=SPEC,
        config={"/vision_config/patch_size": 9},
        processor={"/image_seq_length": 4},
        weights=even_grid(),
    )
    for value in ("mlp_downsample_3x3_fix", "mlp_downsample_2x2_fix", Removed):
        name = "no mm_projector_type" if value is Removed else value
        add(f"{SPEC} {name}", says("mm_projector_type", "mlp_downsample"), spec=SPEC, config={kind: value})
    add(
        f"{LINEAR} downsampled with the class token",
        says(STRATEGY, "a square"),
        spec=LINEAR,
        config={kind: "mlp_downsample", f"/{STRATEGY}": "full"},
    )


def even_grid() -> dict:
    """Of 4 x 4 patches."""
    name = "model.vision_tower.embeddings"
    return {
        "drop": [f"{name}.patch_embedding.weight", f"{name}.position_embedding.weight"],
        "add": [
            {"name": f"{name}.patch_embedding.weight", "shape": [32, 3, 9, 9]},
            {"name": f"{name}.position_embedding.weight", "shape": [16, 32]},
        ],
    }


def config(add: Add) -> None:
    add(
        f"{SPEC} no class token to drop",
        says(STRATEGY, "no class token"),
        spec=SPEC,
        config={f"/{STRATEGY}": "default"},
    )
    add(f"{SPEC} another feature layer", spec=SPEC, config={"/vision_feature_layer": -3})
    add(f"{SPEC} no feature layer", spec=SPEC, config={"/vision_feature_layer": Removed})
    add(f"{SPEC} beyond the layers", says("vision_feature_layer"), spec=SPEC, config={"/vision_feature_layer": 5})
    add(f"{SPEC} no tower", says("vision_config.model_type"), spec=SPEC, config={"/vision_config/model_type": "dinov2"})
    add(f"{SPEC} Qwen2", says("text_config.model_type"), spec=SPEC, config={"/text_config/model_type": "qwen2"})
    add(
        f"{SPEC} image token beyond the vocabulary",
        says("image_token_index", "160"),
        spec=SPEC,
        config={"/image_token_index": 160},
    )
    for key in ("llm_cfg", "vision_tower_cfg", "mm_projector_cfg"):
        add(f"{SPEC} {key}", says(key, "./dev convert"), spec=SPEC, config={f"/{key}": {}})


def files(add: Add) -> None:
    pre, pro = "preprocessor_config.json", "processor_config.json"
    add(
        f"{SPEC} another size",
        (pre, "24x24", "image_size is 38"),
        spec=SPEC,
        preprocessor={"/size": {"height": 24, "width": 24}},
    )
    add(
        f"{SPEC} cropped",
        spec=SPEC,
        preprocessor={
            "/size": {"shortest_edge": 38},
            "/crop_size": {"height": 38, "width": 38},
            "/do_center_crop": True,
        },
    )
    add(f"{SPEC} bilinear", spec=SPEC, preprocessor={"/resample": 2})
    number_of_tokens(add, SPEC, "image_seq_length", 16, 9)
    add(
        f"{SPEC} another image processor",
        (pre, "image_processor_type"),
        spec=SPEC,
        preprocessor={"/image_processor_type": "SiglipImageProcessor"},
    )
    add(
        f"{SPEC} another processor",
        (pro, "processor_class"),
        spec=SPEC,
        processor={"/processor_class": "LlavaProcessor"},
    )


def weights(add: Add) -> None:
    add(f"{SPEC} shards", spec=SPEC, weights={"shards": 3})
    for name in ("multi_modal_projector.layer_norm.bias", "vision_tower.embeddings.patch_embedding.bias"):
        says_missing = ("model.safetensors", f"{name} is missing; download")
        add(f"{SPEC} without model.{name}", says_missing, spec=SPEC, weights={"drop": [f"model.{name}"]})
