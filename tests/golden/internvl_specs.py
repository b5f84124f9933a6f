"""The tiny models of InternVL: configs and names; model_specs.py makes specs of them."""

BOS = 1
IMAGE_TOKEN = 159
# Tiles of 2 x 2 visual tokens, one below the other: three (two and a thumbnail), one, five (four and a thumbnail).
TILE = 16
IMAGES = [[3 * TILE, TILE], [TILE, TILE], [5 * TILE, TILE]]


def vision_tower(**fields: object) -> dict:
    return {
        "architectures": ["InternVisionModel"],
        "attention_bias": True,
        "attention_dropout": 0.0,
        "dropout": 0.0,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "hidden_size": 32,
        "image_size": [TILE, TILE],
        "initializer_factor": 0.1,
        "initializer_range": 1e-10,
        "intermediate_size": 64,
        "layer_norm_eps": 1e-06,
        "layer_scale_init_value": 0.1,
        "model_type": "internvl_vision",
        "norm_type": "layer_norm",
        "num_attention_heads": 2,
        "num_channels": 3,
        "num_hidden_layers": 3,
        "patch_size": [4, 4],
        "projection_dropout": 0.0,
        "use_absolute_position_embeddings": True,
        "use_mask_token": False,
        "use_mean_pooling": True,
        "use_qk_norm": False,
        **fields,
    }


def internvl(vision_config: dict, text_config: dict) -> dict:
    return {
        "architectures": ["InternVLForConditionalGeneration"],
        "downsample_ratio": 0.5,
        "image_seq_length": 4,
        "image_token_id": IMAGE_TOKEN,
        "model_type": "internvl",
        "projector_hidden_act": "gelu",
        "text_config": {
            "bos_token_id": BOS,
            "eos_token_id": 2,
            "hidden_act": "silu",
            "hidden_size": 96,
            "intermediate_size": 112,
            "max_position_embeddings": 512,
            "num_attention_heads": 6,
            "num_hidden_layers": 3,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_theta": 1000000.0,
            "sliding_window": None,
            "use_sliding_window": False,
            "vocab_size": 160,
            **text_config,
        },
        "vision_config": vision_config,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
    }


def internvl3() -> dict:
    """As on the hub: a Qwen2 decoder, whose rope would change beyond its context."""
    return internvl(
        vision_tower(),
        {
            "architectures": ["Qwen2ForCausalLM"],
            "max_window_layers": 70,
            "model_type": "qwen2",
            "rope_scaling": {"factor": 2.0, "rope_type": "dynamic", "type": "dynamic"},
        },
    )


def internvl3_5() -> dict:
    """A Qwen3 decoder, and the norms of the largest towers."""
    config = internvl(
        vision_tower(attention_bias=False, norm_type="rms_norm", use_qk_norm=True),
        {
            "architectures": ["Qwen3ForCausalLM"],
            "head_dim": 24,
            "model_type": "qwen3",
            "num_attention_heads": 4,
            "tie_word_embeddings": False,
        },
    )
    return config | {"tie_word_embeddings": False}
