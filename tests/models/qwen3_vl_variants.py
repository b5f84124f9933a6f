"""Variants of Qwen3-VL: shapes of pictures, conversations, and what is refused."""

from variant_parts import Add, Removed, picture_last, pictures_and_conversations, says

SPEC = "qwen3_vl"
TEXT = "/text_config"
VISION = "/vision_config"
ROPE = f"{TEXT}/rope_scaling"


def qwen3_vl_variants(add: Add) -> None:
    pictures_and_conversations(add, SPEC)
    picture_last(add, SPEC)
    add(f"{SPEC} two images", spec=SPEC, conversation=[["user", ["31x33.png", "1000x40.png", "Which is wide?"]]])
    decoder(add)
    rope(add)
    vision_tower(add)
    files(add)
    weights(add)


def decoder(add: Add) -> None:
    add(
        f"{SPEC} mixture of experts", says("qwen3_vl_moe", "mixture"), spec=SPEC, config={"/model_type": "qwen3_vl_moe"}
    )
    add(f"{SPEC} another decoder", says("text_config.model_type"), spec=SPEC, config={f"{TEXT}/model_type": "qwen3"})
    add(
        f"{SPEC} attention_bias",
        says("text_config.attention_bias"),
        spec=SPEC,
        config={f"{TEXT}/attention_bias": True},
    )
    add(f"{SPEC} image token beyond the vocabulary", says("image_token_id"), spec=SPEC, config={"/image_token_id": 160})
    add(
        f"{SPEC} not tied, no lm_head",
        ("model.safetensors", "lm_head.weight"),
        spec=SPEC,
        config={"/tie_word_embeddings": False, f"{TEXT}/tie_word_embeddings": False},
    )
    add(f"{SPEC} fewer layers", spec=SPEC, config={f"{TEXT}/num_hidden_layers": 4})
    add(
        f"{SPEC} no layers after the visual ones",
        says("vision_config.deepstack_visual_indexes", "3"),
        spec=SPEC,
        config={f"{TEXT}/num_hidden_layers": 3},
    )


def rope(add: Add) -> None:
    def field(name: str, value: object, *words: str) -> None:
        text = "missing" if value is Removed else value
        add(f"{SPEC} {name} {text}", says(*words) if words else (), spec=SPEC, config={f"{ROPE}/{name}": value})

    field("mrope_section", [4, 6, 6])
    field("mrope_section", [16, 0, 0])
    field("mrope_section", [6, 5], "rope_scaling.mrope_section", "[6,5]")
    field("mrope_section", [6, 5, 4], "rope_scaling.mrope_section", "16")
    field("mrope_section", Removed, "rope_scaling.mrope_section", "16")
    field("mrope_interleaved", Removed)
    field("mrope_interleaved", False, "rope_scaling.mrope_interleaved")
    field("rope_type", "yarn", "rope_scaling.rope_type", "yarn")
    field("rope_type", "mrope", "rope_scaling.rope_type", "mrope")
    add(f"{SPEC} default rope theta", spec=SPEC, config={f"{TEXT}/rope_theta": Removed})
    parameters = {"mrope_section": [6, 5, 5], "rope_theta": 5000000.0, "rope_type": "default"}
    add(
        f"{SPEC} rope_parameters",
        spec=SPEC,
        config={f"{TEXT}/rope_scaling": Removed, f"{TEXT}/rope_theta": Removed, f"{TEXT}/rope_parameters": parameters},
    )


def vision_tower(add: Add) -> None:
    def field(name: str, value: object, *words: str) -> None:
        add(f"{SPEC} {name} {value}", says(*words) if words else (), spec=SPEC, config={f"{VISION}/{name}": value})

    field("model_type", "qwen3_vl_vision")
    field("model_type", "qwen2_5_vl_vision", "vision_config.model_type")
    field("hidden_act", "gelu")
    field("hidden_act", "relu", "vision_config.hidden_act", "relu")
    field("deepstack_visual_indexes", [])
    field("deepstack_visual_indexes", [1, 2])
    field("deepstack_visual_indexes", [1, 0, 3], "vision_config.deepstack_visual_indexes", "[1,0,3]")
    field("deepstack_visual_indexes", [0, 1, 1], "vision_config.deepstack_visual_indexes")
    field("deepstack_visual_indexes", [0, 1, 4], "vision_config.deepstack_visual_indexes", "4 layers")
    field("deepstack_visual_indexes", [-1, 1], "vision_config.deepstack_visual_indexes")
    field("num_position_embeddings", 35, "vision_config.num_position_embeddings", "35")
    field("num_position_embeddings", 49, "model.safetensors", "pos_embed")
    field("out_hidden_size", 96, "vision_config.out_hidden_size", "64")
    field("in_channels", 1, "vision_config.in_channels")
    field("quantization_config", {"quant_method": "awq"}, "vision_config.quantization_config")


def files(add: Add) -> None:
    file = "preprocessor_config.json"
    size = {"shortest_edge": 640, "longest_edge": 1920}
    add(f"{SPEC} size", spec=SPEC, preprocessor={"/size": size})
    add(f"{SPEC} min_pixels beside size", spec=SPEC, preprocessor={"/min_pixels": 64, "/max_pixels": 1920})
    add(f"{SPEC} image_processor_type Pil", spec=SPEC, preprocessor={"/image_processor_type": "Qwen2VLImageProcessor"})
    add(f"{SPEC} default means", spec=SPEC, preprocessor={"/image_mean": Removed, "/image_std": Removed})
    add(
        f"{SPEC} another patch size",
        (file, "patch_size is 8", "config.json"),
        spec=SPEC,
        preprocessor={"/patch_size": 8},
    )


def weights(add: Add) -> None:
    add(f"{SPEC} shards", spec=SPEC, weights={"shards": 3})
    visual = "model.visual."
    for name in ("pos_embed.weight", "patch_embed.proj.bias", "deepstack_merger_list.1.norm.bias"):
        add(f"{SPEC} without {name}", ("model.safetensors", name), spec=SPEC, weights={"drop": [visual + name]})
    norm = "model.language_model.layers.2.self_attn.k_norm.weight"
    add(f"{SPEC} without a norm", ("model.safetensors", "k_norm.weight"), spec=SPEC, weights={"drop": [norm]})
