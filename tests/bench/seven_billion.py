"""A LLaVA-1.5-7B directory in bfloat16 with random weights: 14 GB, a minute. usage: seven_billion.py TOKENIZER_DIR OUT

Tokenizer, chat template and the size of the vocabulary come from TOKENIZER_DIR: with the embedded model's 49216 words
instead of 32064 the weights are 2 % more.
"""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

SHARD_BYTES = 2 << 30
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@dataclasses.dataclass(frozen=True)
class Shape:
    layers: int = 32
    width: int = 4096
    inner: int = 11008
    heads: int = 32
    tower_layers: int = 24
    tower_width: int = 1024
    tower_heads: int = 16
    grouped_heads: int = 0  # of keys and values; 0: as many as heads

    @property
    def kv_heads(self) -> int:
        return self.grouped_heads or self.heads


def tensors(shape: Shape, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every weight, as the hub's llava-1.5-7b-hf names them."""
    width, inner = shape.width, shape.inner
    yield "language_model.model.embed_tokens.weight", (vocabulary, width)
    for i in range(shape.layers):
        at = f"language_model.model.layers.{i}."
        kv_width = width // shape.heads * shape.kv_heads
        for name, out in (("q", width), ("k", kv_width), ("v", kv_width), ("o", width)):
            yield f"{at}self_attn.{name}_proj.weight", (out, width)
        for name, size in (("gate", (inner, width)), ("up", (inner, width)), ("down", (width, inner))):
            yield f"{at}mlp.{name}_proj.weight", size
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{at}{name}.weight", (width,)
    yield "language_model.model.norm.weight", (width,)
    yield "language_model.lm_head.weight", (vocabulary, width)
    c = shape.tower_width
    tower = "vision_tower.vision_model."
    yield f"{tower}embeddings.class_embedding", (c,)
    yield f"{tower}embeddings.patch_embedding.weight", (c, 3, 14, 14)
    yield f"{tower}embeddings.position_embedding.weight", (577, c)
    for name in ("pre_layrnorm", "post_layernorm"):
        yield f"{tower}{name}.weight", (c,)
        yield f"{tower}{name}.bias", (c,)
    for i in range(shape.tower_layers):
        at = f"{tower}encoder.layers.{i}."
        linears = [(f"self_attn.{n}_proj", c, c) for n in ("q", "k", "v", "out")] + [
            ("mlp.fc1", 4 * c, c),
            ("mlp.fc2", c, 4 * c),
        ]
        for name, out, inputs in linears:
            yield f"{at}{name}.weight", (out, inputs)
            yield f"{at}{name}.bias", (out,)
        for name in ("layer_norm1", "layer_norm2"):
            yield f"{at}{name}.weight", (c,)
            yield f"{at}{name}.bias", (c,)
    for name, inputs in (("linear_1", c), ("linear_2", width)):
        yield f"multi_modal_projector.{name}.weight", (width, inputs)
        yield f"multi_modal_projector.{name}.bias", (width,)


def bfloat16(values: np.ndarray) -> np.ndarray:
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def write_safetensors(
    path: pathlib.Path, shard: Sequence[tuple[str, Sequence[int]]], pieces: Callable[[str, int], Iterable[np.ndarray]]
) -> None:
    """A file of the bfloat16 tensors [(name, shape)].

    pieces(name, count) yields arrays of uint16, `count` values together.
    """
    header, offset = {}, 0
    for name, size in shard:
        end = offset + 2 * int(np.prod(size))
        header[name] = {"dtype": "BF16", "shape": size, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, size in shard:
            file.writelines(memoryview(piece) for piece in pieces(name, int(np.prod(size))))


class RepeatedPool:
    """Random weights that repeat after 64 MB, from a place of each tensor's own on; ones for the norms."""

    def __init__(self) -> None:
        self._pool = bfloat16(np.random.default_rng(1).standard_normal(1 << 25) * 0.02)
        self._ones = bfloat16(np.ones(1 << 13))

    def pieces(self, name: str, left: int) -> Iterator[np.ndarray]:
        start = np.random.default_rng(list(name.encode())).integers(1 << 20)
        while left:
            piece = (self._ones if "norm" in name and name.endswith("weight") else self._pool[start:])[:left]
            yield piece
            left, start = left - len(piece), 0


def configuration(shape: Shape, source: dict) -> dict:
    """config.json, with the words of another model's."""
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "dtype": "bfloat16",
        "image_token_index": source["image_token_index"],
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "tie_word_embeddings": False,
        "text_config": {
            "model_type": "llama", "hidden_size": shape.width, "intermediate_size": shape.inner,
            "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "vocab_size": source["text_config"]["vocab_size"], "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
            "eos_token_id": 2, "bos_token_id": 1,
        },
        "vision_config": {
            "model_type": "clip_vision_model", "image_size": 336, "patch_size": 14, "hidden_size": shape.tower_width,
            "intermediate_size": 4 * shape.tower_width, "num_hidden_layers": shape.tower_layers,
            "num_attention_heads": shape.tower_heads,
        },
    }  # fmt: skip


PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": 336}, "resample": 3,
    "do_center_crop": True, "crop_size": {"height": 336, "width": 336}, "do_rescale": True, "rescale_factor": 1 / 255,
    "do_normalize": True, "image_mean": [0.48145466, 0.4578275, 0.40821073], "do_convert_rgb": True,
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}  # fmt: skip
PROCESSOR = {
    "processor_class": "LlavaProcessor", "patch_size": 14, "vision_feature_select_strategy": "default",
    "num_additional_image_tokens": 1, "image_token": "<image>",
}  # fmt: skip


def make(tokenizer: str | pathlib.Path, out: str | pathlib.Path, shape: Shape = Shape()) -> None:
    """Writes the directory; `out` appears when it is complete."""
    tokenizer, out = pathlib.Path(tokenizer), pathlib.Path(out)
    config = configuration(shape, json.loads((tokenizer / "config.json").read_text()))
    files = {"config": config, "preprocessor_config": PREPROCESSOR, "processor_config": PROCESSOR}
    texts = {f"{name}.json": json.dumps(content) for name, content in files.items()}
    texts |= {name: (tokenizer / name).read_text() for name in TOKENIZER_FILES}
    write_directory(out, texts, tensors(shape, config["text_config"]["vocab_size"]))


def write_directory(out: pathlib.Path, texts: dict[str, str], weights: Iterable[tuple[str, tuple[int, ...]]]) -> None:
    """Writes the text files, and random weights [(name, shape)] in shards; `out` appears when it is complete."""
    scratch = out.with_name(out.name + ".making")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    for name, text in texts.items():
        (scratch / name).write_text(text)

    shards, room = [], 0
    for name, size in weights:
        if room <= 0:
            shards.append([])
            room = SHARD_BYTES
        shards[-1].append((name, list(size)))
        room -= 2 * int(np.prod(size))
    weight_map = {name: f"model-{i:05d}.safetensors" for i, shard in enumerate(shards, 1) for name, _ in shard}
    pool = RepeatedPool()
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as executor:
        paths = [scratch / weight_map[shard[0][0]] for shard in shards]
        for _ in executor.map(lambda path, shard: write_safetensors(path, shard, pool.pieces), paths, shards):
            pass
    (scratch / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    scratch.rename(out)


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2])
