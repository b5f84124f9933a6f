"""The parts of tiny VILA directories in the layout of the original code; vila_directories.py writes them."""

from __future__ import annotations

import json

import sentencepiece
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from originals import CORPUS, llama_shapes, sentencepiece_model

LLAMA_3_TOKENS = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    *(f"<|reserved_special_token_{i}|>" for i in range(3)),
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|reserved_special_token_3|>",
    "<|eot_id|>",
]
FLAGS = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
PIXELS = {"do_normalize": True, "do_rescale": True, "do_resize": True, "resample": 3, "rescale_factor": 1 / 255}

Files = dict[str, object]


def llama_2_tokenizer() -> tuple[Files, int]:
    """The files by name, and how many tokens there are."""
    model = sentencepiece_model(add_dummy_prefix=True)
    config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": {
            str(i): {"content": content, **FLAGS} for i, content in enumerate(("<unk>", "<s>", "</s>"))
        },
        "bos_token": "<s>",
        "eos_token": "</s>",
        "legacy": True,
        "pad_token": "<unk>",
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
    }
    size = sentencepiece.SentencePieceProcessor(model_proto=model).get_piece_size()
    return {"tokenizer.model": model, "tokenizer_config.json": config}, size


def llama_3_tokenizer() -> tuple[Files, int]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(LLAMA_3_TOKENS)
    bos = LLAMA_3_TOKENS[0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    config = {"bos_token": bos, "eos_token": "<|end_of_text|>", "tokenizer_class": "PreTrainedTokenizerFast"}
    files = {"tokenizer.json": json.loads(tokenizer.to_str()), "tokenizer_config.json": config}
    return files, tokenizer.get_vocab_size()


def decoder(architecture: str, vocabulary: int, **fields: object) -> dict:
    return {
        "architectures": [architecture],
        "hidden_act": "silu",
        "hidden_size": 96,
        "intermediate_size": 112,
        "max_position_embeddings": 512,
        "num_attention_heads": 6,
        "num_hidden_layers": 2,
        "num_key_value_heads": 6,
        "rms_norm_eps": 1e-05,
        "torch_dtype": "float32",
        "vocab_size": vocabulary,
        **fields,
    }


def tower(**fields: object) -> dict:
    return {
        "hidden_size": 32,
        "image_size": 38,
        "intermediate_size": 72,
        "num_attention_heads": 2,
        "num_hidden_layers": 3,
        "patch_size": 7,
        **fields,
    }


SIGLIP = tower(
    architectures=["SiglipVisionModel"],
    hidden_act="gelu_pytorch_tanh",
    layer_norm_eps=1e-6,
    model_type="siglip_vision_model",
    num_channels=3,
)
# As openai/clip-vit-large-patch14-336: the config of two towers says only what differs from the defaults.
CLIP = {
    "architectures": ["CLIPModel"],
    "model_type": "clip",
    "vision_config": tower(image_size=35, model_type="clip_vision_model"),
}
SIGLIP_PIXELS = PIXELS | {
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "SiglipImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "size": {"height": 38, "width": 38},
}
CLIP_PIXELS = PIXELS | {
    "crop_size": 35,
    "do_center_crop": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "size": 35,
}


def selection(**fields: object) -> dict:
    return {
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": "cls_patch",
        "mm_vision_select_layer": -2,
        "model_type": "llava_llama",
        **fields,
    }


def vila1_5(projector: str) -> dict:
    """config.json beside the folders, whose own files count for the parts."""
    return selection(
        architectures=["LlavaLlamaModel"],
        image_aspect_ratio="resize",
        llm_cfg={"model_type": "llama"},
        mm_projector_cfg={"mm_projector_type": projector},
        s2=False,
        vision_tower_cfg={"model_type": "siglip_vision_model"},
    )


def tower_shapes(config: dict, clip: bool) -> dict[str, list[int]]:
    width, inner, patch = config["hidden_size"], config["intermediate_size"], config["patch_size"]
    positions = (config["image_size"] // patch) ** 2 + clip
    shapes = {
        "embeddings.patch_embedding.weight": [width, 3, patch, patch],
        "embeddings.position_embedding.weight": [positions, width],
        "post_layernorm.weight": [width],
        "post_layernorm.bias": [width],
    }
    if clip:
        shapes |= {"embeddings.class_embedding": [width]}
        shapes |= {"pre_layrnorm.weight": [width], "pre_layrnorm.bias": [width]}
    else:
        shapes |= {"embeddings.patch_embedding.bias": [width]}
    sizes = {f"self_attn.{part}_proj": [width, width] for part in ("q", "k", "v", "out")}
    sizes |= {"mlp.fc1": [inner, width], "mlp.fc2": [width, inner], "layer_norm1": [width], "layer_norm2": [width]}
    for i in range(config["num_hidden_layers"]):
        for name, shape in sizes.items():
            shapes[f"encoder.layers.{i}.{name}.weight"] = shape
            shapes[f"encoder.layers.{i}.{name}.bias"] = shape[:1]
    return {f"vision_model.{name}": shape for name, shape in shapes.items()}


def unread_shapes(clip: bool) -> dict[str, list[int]]:
    """Shapes of weights in the tower's directory that do not belong to the tower."""
    if clip:
        return {"logit_scale": [1], "text_model.final_layer_norm.weight": [4], "visual_projection.weight": [4, 32]}
    return {"vision_model.head.probe": [1, 1, 32]}


def projector_shapes(kind: str, hidden: int) -> dict[str, list[int]]:
    """`linear` is one layer, without a number."""
    linears = {
        "linear": {"": [hidden, 32]},
        "mlp2x_gelu": {"0.": [hidden, 32], "2.": [hidden, hidden]},
        "mlp_downsample": {"1.": [128], "2.": [hidden, 128], "4.": [hidden, hidden]},
    }[kind]
    return {
        f"{name}{part}": shape if part == "weight" else shape[:1]
        for name, shape in linears.items()
        for part in ("weight", "bias")
    }


def decoder_shapes(config: dict) -> dict[str, list[int]]:
    return llama_shapes({"tie_word_embeddings": False, **config})
