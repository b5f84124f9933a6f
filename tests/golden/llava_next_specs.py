"""The tiny models of LLaVA-NeXT and LLaVA-OneVision: configs; model_specs.py makes specs of them."""

from qwen2_vl_specs import BOS, IMAGE_TOKEN, qwen2_decoder

TILE = 28
# As published, for tiles of 28 pixels in place of 336.
PINPOINTS = [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]]
# Height and width of pictures before preprocessing, and what the tower gets: the thumbnail and the tiles, one below the
# other. Of the first picture's features two rows are padding, of the second's two columns, of the third's four rows.
PICTURES = [[10, 50], [44, 15], [60, 100]]
IMAGES = [[3 * TILE, TILE], [3 * TILE, TILE], [5 * TILE, TILE]]

# The same of LLaVA-OneVision. A tile has four patches and two pixels more, as 384 has 27 patches of 14 and six; the
# second picture's features are resized from 8 x 10 to 5 x 6.
ONEVISION_TILE = 30
ONEVISION_PINPOINTS = [[down * ONEVISION_TILE, across * ONEVISION_TILE] for down in (1, 2, 3) for across in (1, 2, 3)]
ONEVISION_PICTURES = [[10, 50], [60, 80], [44, 15]]
ONEVISION_IMAGES = [[tiles * ONEVISION_TILE, ONEVISION_TILE] for tiles in (3, 7, 3)]


def llava_next() -> dict:
    """As on the hub: a Mistral decoder without sliding windows."""
    return {
        "architectures": ["LlavaNextForConditionalGeneration"],
        "ignore_index": -100,
        "image_grid_pinpoints": PINPOINTS,
        "image_seq_length": 16,
        "image_token_index": IMAGE_TOKEN,
        "model_type": "llava_next",
        "projector_hidden_act": "gelu",
        "text_config": {
            "architectures": ["MistralForCausalLM"],
            "bos_token_id": BOS,
            "eos_token_id": 2,
            "hidden_act": "silu",
            "hidden_size": 64,
            "intermediate_size": 96,
            "max_position_embeddings": 512,
            "model_type": "mistral",
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-05,
            "rope_theta": 1000000.0,
            "sliding_window": None,
            "vocab_size": 160,
        },
        "tie_word_embeddings": False,
        "use_image_newline_parameter": True,
        "vision_config": {
            "hidden_size": 32,
            "image_size": TILE,
            "intermediate_size": 64,
            "model_type": "clip_vision_model",
            "num_attention_heads": 2,
            "num_hidden_layers": 3,
            "patch_size": 7,
            "projection_dim": 32,
            "vocab_size": 160,
        },
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "vocab_size": 160,
    }


def llava_onevision() -> dict:
    """As on the hub."""
    return {
        "architectures": ["LlavaOnevisionForConditionalGeneration"],
        "ignore_index": -100,
        "image_grid_pinpoints": ONEVISION_PINPOINTS,
        "image_token_index": IMAGE_TOKEN,
        "model_type": "llava_onevision",
        "projector_hidden_act": "gelu",
        "text_config": {
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            "rope_theta": 1000000.0,
            **qwen2_decoder(num_hidden_layers=3),
        },
        "tie_word_embeddings": False,
        "use_image_newline_parameter": True,
        "video_token_index": 158,
        "vision_aspect_ratio": "anyres_max_2",
        "vision_config": {
            "hidden_size": 32,
            "image_size": ONEVISION_TILE,
            "intermediate_size": 64,
            "model_type": "siglip_vision_model",
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "patch_size": 7,
            "vision_use_head": False,
        },
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
    }
