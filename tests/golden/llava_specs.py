"""Configs of tiny LLaVA models; model_specs.py makes specs of them."""

from qwen2_vl_specs import BOS, IMAGE_TOKEN


def clip_tower(image_size: int, patch_size: int, num_hidden_layers: int) -> dict:
    return {
        "model_type": "clip_vision_model",
        "hidden_act": "quick_gelu",
        "hidden_size": 32,
        "image_size": image_size,
        "intermediate_size": 64,
        "layer_norm_eps": 1e-05,
        "num_attention_heads": 2,
        "num_channels": 3,
        "num_hidden_layers": num_hidden_layers,
        "patch_size": patch_size,
        "projection_dim": 32,
    }


def llava(
    vision_config: dict,
    text_config: dict,
    vision_feature_layer: int | list[int],
    vision_feature_select_strategy: str = "default",
) -> dict:
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "image_token_index": IMAGE_TOKEN,
        "model_type": "llava",
        "projector_hidden_act": "gelu",
        "text_config": {
            "architectures": ["LlamaForCausalLM"],
            "bos_token_id": BOS,
            "eos_token_id": 2,
            "hidden_act": "silu",
            "max_position_embeddings": 512,
            "model_type": "llama",
            "vocab_size": 160,
            **text_config,
        },
        "vision_config": vision_config,
        "vision_feature_layer": vision_feature_layer,
        "vision_feature_select_strategy": vision_feature_select_strategy,
    }
