"""Writes the Hugging Face LLaVA directory: configurations, bf16 weights, tokenizer, chat template."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from recipe.dinov2 import VisionTower
from recipe.smollm2 import Decoder, special_token
from recipe.trained_part import TrainedPart

IMAGE_TOKEN = "<image>"
VOCABULARY_MULTIPLE = 64  # matrix libraries want the vocabulary's size even

# The pictures stand before everything else, whichever message they came with. There the decoder makes its
# attention sinks out of visual tokens; after text it would make them of the first text token alone. It also
# lets one cached picture serve every conversation about it.
CHAT_TEMPLATE = """\
{%- for message in messages if message.content is not string -%}
  {%- for part in message.content if part.type == 'image' -%}<image>{%- endfor -%}
{%- endfor -%}
{%- for message in messages -%}
  {{- '<|im_start|>' + message.role + '\\n' -}}
  {%- if message.content is string -%}
    {{- message.content -}}
  {%- else -%}
    {%- for part in message.content if part.type == 'text' -%}{{- part.text -}}{%- endfor -%}
  {%- endif -%}
  {{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""


def write_directory(out: Path, decoder: Decoder, tower: VisionTower, part: TrainedPart) -> None:
    """`decoder` comes with the low-rank updates of `part` merged."""
    image_token_id = decoder.config["vocab_size"]
    weights = _weights(decoder, tower, part.projector())
    vocabulary = weights["language_model.model.embed_tokens.weight"].shape[0]
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)  # save_file leaves it readable for its owner alone
    _write_json(out / "config.json", _config(decoder, tower, part, image_token_id, vocabulary))
    _write_json(out / "generation_config.json", _generation_config(decoder))
    _write_json(out / "preprocessor_config.json", _image_processor(part.image_size))
    _write_json(out / "processor_config.json", _processor(tower))
    _write_json(out / "tokenizer.json", _tokenizer(decoder, image_token_id))
    _write_json(out / "tokenizer_config.json", _tokenizer_config(decoder))
    (out / "chat_template.jinja").write_text(CHAT_TEMPLATE)


def _weights(decoder: Decoder, tower: VisionTower, projector: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    weights = {f"language_model.{name}": value for name, value in decoder.weights.items()}
    weights |= {f"vision_tower.{name}": value for name, value in tower.weights.items()}
    weights |= projector
    # Rows for the image token and for padding: the mean embedding, whose logit is never the highest.
    embedding = weights["language_model.model.embed_tokens.weight"]  # [V, C]
    missing = VOCABULARY_MULTIPLE - len(embedding) % VOCABULARY_MULTIPLE
    mean = embedding.mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32)
    weights["language_model.model.embed_tokens.weight"] = np.concatenate([embedding, mean.repeat(missing, axis=0)])
    return {name: np.ascontiguousarray(value.astype(ml_dtypes.bfloat16)) for name, value in weights.items()}


def _config(decoder: Decoder, tower: VisionTower, part: TrainedPart, image_token_id: int, vocabulary: int) -> dict:
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "dtype": "bfloat16",
        "image_seq_length": (part.image_size // tower.config["patch_size"]) ** 2,
        "image_token_index": image_token_id,
        "multimodal_projector_bias": True,
        "projector_hidden_act": "gelu",
        "text_config": {**decoder.config, "vocab_size": vocabulary},
        "tie_word_embeddings": True,
        "vision_config": tower.config,
        "vision_feature_layer": part.vision_feature_layer,
        "vision_feature_select_strategy": "default",
    }


def _generation_config(decoder: Decoder) -> dict:
    return {key: decoder.config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}


def _image_processor(image_size: int) -> dict:
    return {
        "image_processor_type": "BitImageProcessor",
        "processor_class": "LlavaProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": image_size},
        "resample": 3,  # bicubic
        "do_center_crop": True,
        "crop_size": {"height": image_size, "width": image_size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }


def _processor(tower: VisionTower) -> dict:
    return {
        "processor_class": "LlavaProcessor",
        "image_token": IMAGE_TOKEN,
        "num_additional_image_tokens": 1,  # the class token, which the select strategy drops again
        "patch_size": tower.config["patch_size"],
        "vision_feature_select_strategy": "default",
    }


def _tokenizer(decoder: Decoder, image_token_id: int) -> dict:
    added = decoder.tokenizer["added_tokens"] + [special_token(image_token_id, IMAGE_TOKEN)]
    return {**decoder.tokenizer, "added_tokens": added}


def _tokenizer_config(decoder: Decoder) -> dict:
    content = {entry["id"]: entry["content"] for entry in decoder.tokenizer["added_tokens"]}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "processor_class": "LlavaProcessor",
        "bos_token": content[decoder.config["bos_token_id"]],
        "eos_token": content[decoder.config["eos_token_id"]],
        "pad_token": content[decoder.config["pad_token_id"]],
        "clean_up_tokenization_spaces": False,
        "model_max_length": decoder.config["max_position_embeddings"],
    }


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
