"""Writes the tiny model directories: a base, and what each variant changes of it.

The C++ test (tests/component/model_variants_test.cc) writes the same ones from variants.json.
"""

import copy
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "golden"))
import family_templates
from llava_next_directories import (
    MISTRAL_CHAT_TEMPLATE,
    ONEVISION_CHAT_TEMPLATE,
    llava_next_files,
    llava_onevision_files,
)
from smolvlm_directories import SMOLVLM_CHAT_TEMPLATE, smolvlm_files
from tiny_model import fill, load_spec
from vila_directories import vila_files

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I8": torch.int8}
INDEX = "model.safetensors.index.json"

IMAGE_TOKEN = 159
CHAT_TEMPLATE = (GOLDEN / "text" / "byte_level" / "chat_template.jinja").read_text()
QWEN_TOKENS = {150: "<|vision_start|>", 151: "<|vision_end|>", 158: "<|video_pad|>", IMAGE_TOKEN: "<|image_pad|>"}
INTERNVL_NAMES = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "video_token": "<video>",
    "context_image_token": "<IMG_CONTEXT>",
}
INTERNVL_TOKENS = dict(zip((150, 151, 158, IMAGE_TOKEN), INTERNVL_NAMES.values(), strict=True))


def family(spec: dict) -> str:
    """llava, llava_next, llava_onevision, qwen2_vl, qwen3_vl, internvl, idefics3, smolvlm or vila"""
    model_type = spec["config"]["model_type"]
    return "qwen2_vl" if model_type == "qwen2_5_vl" else model_type


IMAGE_TOKENS = {
    "llava": {IMAGE_TOKEN: "<image>"},
    "llava_next": {IMAGE_TOKEN: "<image>"},
    "llava_onevision": {158: "<video>", IMAGE_TOKEN: "<image>"},
    "qwen2_vl": QWEN_TOKENS,
    "qwen3_vl": QWEN_TOKENS,
    "internvl": INTERNVL_TOKENS,
    "vila": {IMAGE_TOKEN: "<image>"},
    # As SmolVLM-256M has tokens for tiles; those of the others, and all of SmolVLM-2.2B, are texts.
    "idefics3": {
        150: "<fake_token_around_image>",
        151: "<end_of_utterance>",
        152: "<global-img>",
        153: "<row_1_col_1>",
        154: "<row_1_col_2>",
        155: "<row_2_col_1>",
        IMAGE_TOKEN: "<image>",
    },
    "smolvlm": {
        150: "<fake_token_around_image>",
        151: "<end_of_utterance>",
        152: "<global-img>",
        IMAGE_TOKEN: "<image>",
    },
}
CHAT_TEMPLATES = {
    "llava": CHAT_TEMPLATE,
    "llava_next": MISTRAL_CHAT_TEMPLATE,
    "llava_onevision": ONEVISION_CHAT_TEMPLATE,
    "qwen2_vl": family_templates.QWEN2_VL,
    "qwen3_vl": family_templates.QWEN3_VL,
    "internvl": family_templates.INTERNVL,
    "vila": family_templates.VILA,
    "idefics3": SMOLVLM_CHAT_TEMPLATE,
    "smolvlm": SMOLVLM_CHAT_TEMPLATE,
}


def tokenizer(image_tokens: dict[int, str]) -> dict:
    """Of single bytes: newline, space and printable ASCII; the other ids are bytes of longer characters."""
    name = {byte: chr(byte) for byte in [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]}
    name |= {byte: chr(0x100 + i) for i, byte in enumerate(byte for byte in range(256) if byte not in name)}
    ids = [ord("\n"), *range(0x20, 0x7F), *range(0x80, 0x100)]
    vocabulary = {name[byte]: 3 + i for i, byte in enumerate(ids[: IMAGE_TOKEN - 3])}
    vocabulary = {piece: i for piece, i in vocabulary.items() if i not in image_tokens}
    special = {0: "<|endoftext|>", 1: "<|im_start|>", 2: "<|im_end|>", **image_tokens}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "added_tokens": [{"id": i, "content": content, **flags} for i, content in special.items()],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }


def internvl_files(config: dict) -> dict[str, dict]:
    """As on the hub, with what says nothing."""
    height, width = config["vision_config"]["image_size"]
    return {
        "preprocessor_config.json": {
            "crop_size": None,
            "crop_to_patches": False,
            "data_format": "channels_first",
            "default_to_square": True,
            "do_center_crop": None,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.485, 0.456, 0.406],
            "image_processor_type": "GotOcr2ImageProcessorFast",
            "image_std": [0.229, 0.224, 0.225],
            "max_patches": 6,
            "min_patches": 1,
            "processor_class": "InternVLProcessor",
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            "size": {"height": height, "width": width},
        },
        "processor_config.json": {
            "image_seq_length": config["image_seq_length"],
            "processor_class": "InternVLProcessor",
        },
        "tokenizer_config.json": {
            "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>",
            "extra_special_tokens": INTERNVL_NAMES,
            **INTERNVL_NAMES,
        },
        "video_preprocessor_config.json": {
            "size": {"height": height, "width": width},
            "video_processor_type": "InternVLVideoProcessor",
        },
    }


def qwen_files(config: dict) -> dict[str, dict]:
    vision = config["vision_config"]
    sizes = {
        "patch_size": vision["patch_size"],
        "temporal_patch_size": vision["temporal_patch_size"],
        "merge_size": vision["spatial_merge_size"],
    }
    if config["model_type"] == "qwen3_vl":  # as on the hub
        own = {
            "size": {"longest_edge": 4096, "shortest_edge": 256},
            **sizes,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
            "processor_class": "Qwen3VLProcessor",
        }
        return {
            "preprocessor_config.json": own | {"image_processor_type": "Qwen2VLImageProcessorFast"},
            "video_preprocessor_config.json": own | {"video_processor_type": "Qwen3VLVideoProcessor"},
        }
    return {
        "preprocessor_config.json": {
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Qwen2VLProcessor" if config["model_type"] == "qwen2_vl" else "Qwen2_5_VLProcessor",
            "min_pixels": 256,
            "max_pixels": 4096,
            **sizes,
        },
    }


def base_files(spec: dict) -> dict[str, dict | str]:
    config = spec["config"]
    shared = {
        "config.json": config,
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": 2},
        "tokenizer.json": tokenizer(IMAGE_TOKENS[family(spec)]),
        "tokenizer_config.json": {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"},
        "chat_template.jinja": CHAT_TEMPLATES[family(spec)],
    }
    if family(spec) == "vila":
        return shared | vila_files(spec)
    if family(spec) == "internvl":
        return shared | internvl_files(config)
    if family(spec) in ("idefics3", "smolvlm"):
        return shared | smolvlm_files(config)
    if family(spec) == "llava_onevision":
        return shared | llava_onevision_files(config)
    if family(spec) == "llava_next":
        return shared | llava_next_files(config)
    if family(spec) in ("qwen2_vl", "qwen3_vl"):
        return shared | qwen_files(config)
    side = spec["image_size"]
    return shared | {
        "preprocessor_config.json": {
            "image_processor_type": "CLIPImageProcessor",
            "size": {"shortest_edge": side},
            "crop_size": {"height": side, "width": side},
        },
        "processor_config.json": {
            "processor_class": "LlavaProcessor",
            "patch_size": config["vision_config"]["patch_size"],
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": config["vision_feature_select_strategy"],
        },
    }


def apply_patch(document: dict | str, operations: list[dict]) -> None:
    """The operations add (also in place of what is there) and remove of JSON Patch."""
    for operation in operations:
        *path, last = operation["path"].lstrip("/").split("/")
        parent = document
        for key in path:
            parent = parent[int(key) if isinstance(parent, list) else key]
        if operation["op"] == "remove":
            del parent[last]
        else:
            parent[last] = operation["value"]


def stored_tensors(spec: dict, change: dict) -> dict[str, torch.Tensor]:
    """{name in the files: tensor} of the spec, changed."""
    specs = {t["name"]: (t, "F32") for t in spec["tensors"]}
    for name in change.get("drop", []):
        del specs[name]
    for old, new in change.get("rename", {}).items():
        specs[new] = specs.pop(old)
    for new, old in change.get("copy", {}).items():
        specs[new] = specs[old]
    for tensor in change.get("add", []):
        specs[tensor["name"]] = ({"scale": 0.5, "offset": 0.0, **tensor, "dtype": None}, tensor.get("dtype", "F32"))
    dtype = change.get("dtype")
    tensors = {}
    for name, (tensor, own_dtype) in specs.items():
        arguments = {key: value for key, value in tensor.items() if key != "dtype"}
        tensors[name] = torch.from_numpy(fill(**arguments)).to(DTYPES[dtype or own_dtype]).clone()
    return tensors


def write_weights(directory: pathlib.Path, spec: dict, change: dict) -> dict:
    """Returns the index of the shards, {} if there are none."""
    tensors = stored_tensors(spec, change)
    if change.get("format") == "bin":
        torch.save(tensors, directory / "pytorch_model.bin")
        return {}
    shards = change.get("shards", 0)
    if not shards:
        save_file(tensors, directory / "model.safetensors", {"format": "pt"})
        return {}
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        names = sorted(tensors)[shard::shards]
        save_file({name: tensors[name] for name in names}, directory / file, {"format": "pt"})
        weight_map |= dict.fromkeys(names, file)
    return {"metadata": {}, "weight_map": weight_map}


def write_directory(directory: pathlib.Path, variant: dict) -> None:
    """Writes a variant. A change of a file is a JSON patch, a text, {"link": target} or None: there is no such file."""
    spec = load_spec(variant["spec"])
    files = copy.deepcopy(base_files(spec))
    if index := write_weights(directory, spec, variant.get("weights", {})):
        files[INDEX] = index
    changes = variant.get("files", {})
    for name, content in files.items():
        change = changes.get(name, [])
        if isinstance(change, list):
            apply_patch(content, change)
            text = content if isinstance(content, str) else json.dumps(content)
            (directory / name).write_text(text)
    for name, change in changes.items():
        if isinstance(change, str):
            (directory / name).write_text(change)
        elif not isinstance(change, list):
            (directory / name).unlink(missing_ok=True)
        if isinstance(change, dict):
            (directory / name).symlink_to(change["link"])
    if variant.get("hub_cache"):
        blobs = directory.parents[1] / "blobs"
        blobs.mkdir()
        for i, file in enumerate(sorted(directory.iterdir())):
            file.rename(blobs / f"{i:040x}")
            file.symlink_to(f"../../blobs/{i:040x}")
