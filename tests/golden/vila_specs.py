"""The tiny models of VILA: configs and names; model_specs.py makes specs of them."""

from llava_specs import clip_tower, llava


def vila(vision_config: dict, text_config: dict, projector: str, strategy: str) -> dict:
    config = llava(vision_config, text_config, -2, strategy)
    return config | {
        "architectures": ["VilaForConditionalGeneration"],
        "mm_projector_type": projector,
        "model_type": "vila",
    }


def vila1_5() -> dict:
    """As Llama-3-VILA1.5-8B: an odd grid of patches that leaves pixels over, and Llama 3's decoder."""
    return vila(
        {
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 32,
            "image_size": 38,
            "intermediate_size": 72,
            "layer_norm_eps": 1e-06,
            "model_type": "siglip_vision_model",
            "num_attention_heads": 2,
            "num_channels": 3,
            "num_hidden_layers": 4,
            "patch_size": 7,
            "vision_use_head": False,
        },
        {
            "hidden_size": 96,
            "intermediate_size": 112,
            "num_attention_heads": 6,
            "num_hidden_layers": 3,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-05,
            "rope_theta": 500000.0,
            "tie_word_embeddings": False,
        },
        "mlp_downsample",
        "full",
    )


def vila1_0() -> dict:
    """As VILA's paper has it: a linear projector of CLIP's patches, and Llama 2's decoder."""
    return vila(
        clip_tower(image_size=28, patch_size=7, num_hidden_layers=3),
        {
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "num_key_value_heads": 4,
            "rms_norm_eps": 1e-05,
        },
        "linear",
        "default",
    )
