"""Variants of Qwen2-VL and Qwen2.5-VL: shapes of pictures, conversations, and both generations of files."""

from variant_parts import Add, Removed, picture_last, pictures_and_conversations, says

NESTED = "/text_config"


def qwen2_vl_variants(add: Add) -> None:
    for spec in ("qwen2_vl", "qwen2_5_vl"):
        pictures_and_conversations(add, spec)
        picture_last(add, spec)
    flat_fields(add)
    nested_fields(add)
    processor_fields(add)


def flat_fields(add: Add) -> None:
    spec = "qwen2_vl"
    add(
        f"{spec} mrope_section missing",
        says("mrope_section"),
        spec=spec,
        config={"/rope_scaling/mrope_section": Removed},
    )
    add(
        f"{spec} mrope_section does not add up",
        says("rope_scaling.mrope_section", "[2,3,4]", "8"),
        spec=spec,
        config={"/rope_scaling/mrope_section": [2, 3, 4]},
    )
    add(
        f"{spec} yarn",
        says("rope_scaling.type", "yarn"),
        spec=spec,
        config={"/rope_scaling/type": "yarn", "/rope_scaling/factor": 4.0},
    )
    add(
        f"{spec} windows in use",
        says("sliding_window"),
        spec=spec,
        config={"/use_sliding_window": True, "/max_window_layers": 0},
    )
    add(
        f"{spec} default rope type",
        spec=spec,
        config={"/rope_scaling/type": "default", "/rope_scaling/rope_type": "default"},
    )
    add(f"{spec} image token beyond the vocabulary", says("image_token_id"), spec=spec, config={"/image_token_id": 160})
    add(
        f"{spec} tower of another width",
        says("vision_config.hidden_size", "96"),
        spec=spec,
        config={"/vision_config/hidden_size": 64},
    )
    add(f"{spec} tower with gelu", spec=spec, config={"/vision_config/hidden_act": "gelu"})
    add(
        f"{spec} tower with relu",
        says("vision_config.hidden_act", "relu"),
        spec=spec,
        config={"/vision_config/hidden_act": "relu"},
    )


def nested_fields(add: Add) -> None:
    spec = "qwen2_5_vl"
    add(f"{spec} every layer whole", spec=spec, config={"/vision_config/fullatt_block_indexes": [0, 1, 2]})
    add(f"{spec} wider windows", spec=spec, config={"/vision_config/window_size": 24})
    add(
        f"{spec} window smaller than a token",
        says("vision_config.window_size"),
        spec=spec,
        config={"/vision_config/window_size": 7},
    )
    add(f"{spec} another rope theta", spec=spec, config={f"{NESTED}/rope_parameters/rope_theta": 10000.0})
    add(
        f"{spec} without a biased weight",
        ("model.safetensors", "q_proj.bias"),
        spec=spec,
        weights={"drop": ["model.language_model.layers.1.self_attn.q_proj.bias"]},
    )
    add(f"{spec} another decoder", says("text_config.model_type"), spec=spec, config={f"{NESTED}/model_type": "qwen3"})


def processor_fields(add: Add) -> None:
    spec = "qwen2_5_vl"
    file = "preprocessor_config.json"
    add(
        f"{spec} size",
        spec=spec,
        preprocessor={
            "/size": {"shortest_edge": 640, "longest_edge": 1920},
            "/min_pixels": Removed,
            "/max_pixels": Removed,
        },
    )
    add(
        f"{spec} min_pixels beside size", spec=spec, preprocessor={"/size": {"shortest_edge": 64, "longest_edge": 1920}}
    )
    add(f"{spec} bilinear", spec=spec, preprocessor={"/resample": 2})
    add(f"{spec} other means", spec=spec, preprocessor={"/image_mean": [0.5, 0.5, 0.5], "/image_std": [0.5, 0.5, 0.5]})
    add(
        f"{spec} size without longest_edge",
        (file, "size.longest_edge"),
        spec=spec,
        preprocessor={"/size": {"shortest_edge": 640}, "/min_pixels": Removed, "/max_pixels": Removed},
    )
    add(
        f"{spec} another patch size",
        (file, "patch_size is 7", "config.json"),
        spec=spec,
        preprocessor={"/patch_size": 7},
    )
    add(f"{spec} not resized", (file, "do_resize"), spec=spec, preprocessor={"/do_resize": False})
