"""The tiny models of Idefics3 and SmolVLM: configs; model_specs.py makes specs of them."""

from qwen2_vl_specs import BOS, IMAGE_TOKEN

# Tiles one below the other: three (two and a thumbnail), one, five (four and a thumbnail). SmolVLM-256M has tiles of
# 512 pixels, 32 x 32 patches and 8 x 8 visual tokens.
TILE = 32
IMAGES = [[3 * TILE, TILE], [TILE, TILE], [5 * TILE, TILE]]
# As SmolVLM-2.2B's tiles have 27 patches of 14 pixels and six pixels more, and visual tokens of 3 x 3 patches.
SMOLVLM_TILE = 26
SMOLVLM_IMAGES = [[3 * SMOLVLM_TILE, SMOLVLM_TILE], [SMOLVLM_TILE, SMOLVLM_TILE], [5 * SMOLVLM_TILE, SMOLVLM_TILE]]


def decoder(**fields: object) -> dict:
    return {
        "_flash_attn_2_enabled": True,
        "architectures": ["VLlama3ForCausalLM"],
        "bos_token_id": BOS,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "intermediate_size": 112,
        "is_llama_config": True,
        "max_position_embeddings": 8192,
        "model_type": "llama",
        "num_hidden_layers": 3,
        "pixel_shuffle_factor": 4,
        "qk_layer_norms": False,
        "rms_norm_eps": 1e-05,
        "rope_interleaved": False,
        "rope_scaling": None,
        "rope_theta": 100000,
        "tie_word_embeddings": False,
        "use_resampler": False,
        "vocab_size": 160,
        **fields,
    }


def idefics3() -> dict:
    """As SmolVLM-256M-Instruct's on the hub: nine heads, three of keys and values; head size 8 for 64."""
    return {
        "architectures": ["Idefics3ForConditionalGeneration"],
        "image_token_id": IMAGE_TOKEN,
        "model_type": "idefics3",
        "scale_factor": 4,
        "text_config": decoder(head_dim=8, hidden_size=72, num_attention_heads=9, num_key_value_heads=3),
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vision_config": {
            "hidden_size": 32,
            "image_size": TILE,
            "intermediate_size": 64,
            "max_image_size": {"longest_edge": TILE},
            "model_type": "idefics3",
            "num_attention_heads": 2,
            "num_hidden_layers": 3,
            "patch_size": 4,
            "size": {"longest_edge": 4 * TILE},
            "tie_word_embeddings": False,
            "use_base_siglip": False,
        },
        "vocab_size": 160,
    }


def smolvlm() -> dict:
    """As SmolVLM2's on the hub: five heads, as many of keys and values, and the embeddings once."""
    return {
        "architectures": ["SmolVLMForConditionalGeneration"],
        "image_token_id": IMAGE_TOKEN,
        "model_type": "smolvlm",
        "scale_factor": 3,
        "text_config": decoder(head_dim=16, hidden_size=80, num_attention_heads=5, num_key_value_heads=5),
        "tie_word_embeddings": True,
        "use_cache": True,
        "vision_config": {
            "hidden_size": 48,
            "image_size": SMOLVLM_TILE,
            "intermediate_size": 80,
            "max_image_size": {"longest_edge": SMOLVLM_TILE},
            "model_type": "smolvlm_vision",
            "num_attention_heads": 3,
            "num_hidden_layers": 2,
            "patch_size": 4,
            "size": {"longest_edge": 4 * SMOLVLM_TILE},
            "use_base_siglip": True,
        },
        "vocab_size": 160,
    }
