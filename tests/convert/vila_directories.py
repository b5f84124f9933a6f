"""Writes tiny VILA directories in the layout of the original code, with random weights and trained tokenizers."""

from __future__ import annotations

import json
import pathlib

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as sentencepiece_model
from tokenizers import Tokenizer

import vila_originals as parts
from directories import random_of, save_shards
from vila_originals import Files

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
LLAMA_3_SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
# Two turns, three pictures: [user, assistant, user]; run_vila.py puts a line for each picture before the question.
TEXTS = ["<image>\n<image>\nWhat do you see? 你好", "Two  of them.", "<image>\nAnd here?\n é"]
# Projector, and tower: the folders of VILA1.5, or a flat VILA 1.0 with CLIP's directory beside it.
FLAT = {"vila1_0": "mlp2x_gelu", "vila1_0-linear": "linear"}
FOLDERS = {"vila1_5": "mlp_downsample", "vila1_5-llama3": "mlp_downsample"}
NAMES = (*FLAT, *FOLDERS)


def write_files(folder: pathlib.Path, files: Files) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            (folder / name).write_text(json.dumps(content), encoding="utf-8")


def write_tower(folder: pathlib.Path, config: dict, pixels: dict, clip: bool) -> None:
    write_files(folder, {"config.json": config, "preprocessor_config.json": pixels})
    shapes = parts.tower_shapes(config.get("vision_config", config), clip) | parts.unread_shapes(clip)
    save_shards(folder, random_of(shapes, seed=1), "F32")


def write_flat(directory: pathlib.Path, name: str) -> None:
    """Also CLIP's directory, NAME-clip. The checkpoint has another tower, which the original code does not read."""
    files, vocabulary = parts.llama_2_tokenizer()
    config = parts.decoder("LlavaLlamaForCausalLM", vocabulary)
    linear = FLAT[name] == "linear"
    config |= parts.selection(
        image_aspect_ratio="square" if linear else "pad",
        mm_projector_type=FLAT[name],
        mm_vision_select_feature="cls_patch" if linear else "patch",
        mm_vision_tower="openai/clip-vit-large-patch14-336",
    )
    write_files(directory, files | {"config.json": config})
    projector = parts.projector_shapes(FLAT[name], config["hidden_size"])
    shapes = parts.decoder_shapes(config) | {f"model.mm_projector.{key}": shape for key, shape in projector.items()}
    shapes |= {"model.layers.0.self_attn.rotary_emb.inv_freq": [8], "model.vision_tower.vision_tower.x.weight": [3]}
    save_shards(directory, random_of(shapes, seed=2), "F32", shards=2)
    write_tower(directory.with_name(f"{name}-clip"), parts.CLIP, parts.CLIP_PIXELS, clip=True)


def write_folders(directory: pathlib.Path, name: str) -> None:
    llama_3 = name.endswith("llama3")
    files, vocabulary = parts.llama_3_tokenizer() if llama_3 else parts.llama_2_tokenizer()
    config = parts.decoder("LlamaForCausalLM", vocabulary, rope_theta=10000.0)
    if llama_3:
        config |= {"num_key_value_heads": 2, "rope_theta": 500000.0, "torch_dtype": "bfloat16"}
        files["generation_config.json"] = {"eos_token_id": [5]}
    dtype = "BF16" if llama_3 else "F32"
    write_files(directory, {"config.json": parts.vila1_5(FOLDERS[name])})
    write_files(directory / "llm", files | {"config.json": config})
    save_shards(directory / "llm", random_of(parts.decoder_shapes(config), seed=2), dtype, shards=3)
    write_tower(directory / "vision_tower", parts.SIGLIP, parts.SIGLIP_PIXELS, clip=False)
    projector = {"mm_projector_type": FOLDERS[name], "model_type": "v2l_projector"}
    write_files(directory / "mm_projector", {"config.json": projector})
    shapes = parts.projector_shapes(FOLDERS[name], config["hidden_size"])
    save_shards(directory / "mm_projector", random_of({f"layers.{key}": s for key, s in shapes.items()}, seed=3), "F32")


def write_vila(directory: pathlib.Path, name: str) -> None:
    (write_flat if name in FLAT else write_folders)(directory, name)


def tower_of(directory: pathlib.Path, name: str) -> list[str]:
    """The converter's flags for a model whose vision tower is in another directory."""
    return ["--vision_tower", str(directory.with_name(f"{name}-clip"))] if name in FLAT else []


def prompt(name: str) -> str:
    """Conversation.get_prompt() of vicuna_v1 and llama_3."""
    first, answer, second = TEXTS
    if not name.endswith("llama3"):
        return f"{SYSTEM} USER: {first} ASSISTANT: {answer}</s>USER: {second} ASSISTANT:"
    text = f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{LLAMA_3_SYSTEM}<|eot_id|>"
    for role, message in (("user", first), ("assistant", answer), ("user", second)):
        text += f"<|start_header_id|>{role}<|end_header_id|>\n\n{message}<|eot_id|>"
    return f"{text}<|start_header_id|>assistant<|end_header_id|>\n\n"


class Llama2Tokens:
    """LlamaTokenizer(legacy=False) on SentencePiece itself: only the beginning of a text has the dummy prefix, and that
    of an empty text not."""

    def __init__(self, folder: pathlib.Path) -> None:
        proto = sentencepiece_model.ModelProto.FromString((folder / "tokenizer.model").read_bytes())
        proto.normalizer_spec.add_dummy_prefix = False
        self.pieces = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())

    def __call__(self, text: str) -> list[int]:
        """With BOS. </s> in it is the token."""
        ids: list[int] = [1]
        if not text:
            return ids
        for i, part in enumerate(f"▁{text}".replace("▁", " ").split("</s>")):
            ids += ([2] if i else []) + self.pieces.encode(part)
        return ids


def prompt_ids(directory: pathlib.Path, name: str, text: str, image: int) -> list[int]:
    """tokenizer_image_token(): each text between pictures is tokenized alone, and keeps its BOS only at the start."""
    if name.endswith("llama3"):
        tokenizer = Tokenizer.from_file(str(directory / "llm" / "tokenizer.json"))
        chunks = [tokenizer.encode(chunk).ids for chunk in text.split("<image>")]
    else:
        chunks = [*map(Llama2Tokens(directory / "llm" if name in FOLDERS else directory), text.split("<image>"))]
    return chunks[0] + [token for chunk in chunks[1:] for token in [image, *chunk[1:]]]
