"""The tiny models of Qwen2-VL, Qwen2.5-VL and Qwen3-VL: configs and names; model_specs.py makes specs of them."""

BOS = 1
IMAGE_TOKEN = 159
# Grids of 3 x 5, 2 x 7 and 4 x 1 visual tokens: height and width in pixels.
IMAGES = [[24, 40], [16, 56], [32, 8]]


def qwen2_decoder(num_hidden_layers: int) -> dict:
    return {
        "bos_token_id": BOS,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 96,
        "intermediate_size": 112,
        "max_position_embeddings": 512,
        "max_window_layers": num_hidden_layers,
        "num_attention_heads": 6,
        "num_hidden_layers": num_hidden_layers,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "sliding_window": 64,
        "use_sliding_window": False,
        "vocab_size": 160,
    }


def qwen2_vl_tokens() -> dict:
    return {
        "image_token_id": IMAGE_TOKEN,
        "video_token_id": 158,
        "vision_start_token_id": 150,
        "vision_end_token_id": 151,
    }


def qwen2_vl() -> dict:
    """As on the hub: the decoder's fields in config.json itself."""
    return {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "model_type": "qwen2_vl",
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "rope_theta": 1000000.0,
        "tie_word_embeddings": True,
        "vision_config": {
            "depth": 3,
            "embed_dim": 32,
            "hidden_size": 96,
            "in_chans": 3,
            "mlp_ratio": 2,
            "num_heads": 2,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "spatial_patch_size": 4,
            "temporal_patch_size": 2,
        },
        **qwen2_decoder(3),
        **qwen2_vl_tokens(),
    }


def qwen2_5_vl() -> dict:
    """As newer transformers write it. Windows of 2 x 2 visual tokens in all layers but one."""
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "text_config": {
            **qwen2_decoder(3),
            "model_type": "qwen2_5_vl_text",
            "rope_parameters": {"mrope_section": [2, 3, 3], "rope_theta": 1000000.0, "rope_type": "default"},
        },
        "tie_word_embeddings": False,
        "vision_config": {
            "model_type": "qwen2_5_vl_vision",
            "depth": 3,
            "fullatt_block_indexes": [1],
            "hidden_act": "silu",
            "hidden_size": 32,
            "in_channels": 3,
            "intermediate_size": 52,
            "num_heads": 2,
            "out_hidden_size": 96,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 16,
        },
        **qwen2_vl_tokens(),
    }


def qwen3_vl() -> dict:
    """As on the hub. The tower's grid of positions is 6 x 6, between the pictures' sides."""
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "text_config": {
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": BOS,
            "dtype": "float32",
            "eos_token_id": 2,
            "head_dim": 32,
            "hidden_act": "silu",
            "hidden_size": 64,
            "intermediate_size": 96,
            "max_position_embeddings": 512,
            "model_type": "qwen3_vl_text",
            "num_attention_heads": 4,
            "num_hidden_layers": 5,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_scaling": {"mrope_interleaved": True, "mrope_section": [6, 5, 5], "rope_type": "default"},
            "rope_theta": 5000000,
            "tie_word_embeddings": True,
            "vocab_size": 160,
        },
        "tie_word_embeddings": True,
        "vision_config": {
            "deepstack_visual_indexes": [0, 1, 3],
            "depth": 4,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 32,
            "in_channels": 3,
            "intermediate_size": 64,
            "model_type": "qwen3_vl",
            "num_heads": 2,
            "num_position_embeddings": 36,
            "out_hidden_size": 64,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        **qwen2_vl_tokens(),
    }
