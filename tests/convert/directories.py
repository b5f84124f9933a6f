"""Writes tiny InternVL2 directories in the layout of the original code, with random weights and trained tokenizers."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import sys
import unittest

import numpy as np

from originals import CONVERSATION, ROOT, config, internlm2_tokenizer, qwen2_tokenizer, shapes

sys.path.append(str(ROOT / "tools" / "convert"))
import convert as converter

INTERNLM2 = {
    "attn_implementation": "flash_attention_2",
    "bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "rope_scaling": {"factor": 2.0, "type": "dynamic"},
}
QWEN2 = {"sliding_window": 512, "use_sliding_window": False, "max_window_layers": 2, "rope_scaling": None}
LARGE_TOWER = {"norm_type": "rms_norm", "qk_normalization": True, "qkv_bias": False}

Tensors = dict[str, np.ndarray]


def internlm2() -> tuple[dict, dict]:
    """As InternVL2-8B: the config, and the other files."""
    files, vocabulary = internlm2_tokenizer()
    files["generation_config.json"] = {"eos_token_id": [vocabulary - 1]}
    return config("InternLM2ForCausalLM", vocabulary, INTERNLM2, {}), files


def qwen2() -> tuple[dict, dict]:
    """As InternVL2.5-1B."""
    files, vocabulary = qwen2_tokenizer()
    return config("Qwen2ForCausalLM", vocabulary, QWEN2, {}) | {"template": "internvl2_5"}, files


def llama() -> tuple[dict, dict]:
    """As InternVL2-Llama3-76B: the largest tower, a tokenizer.json, bfloat16. Tied embeddings."""
    files, vocabulary = qwen2_tokenizer()
    merges = [line.split(" ") for line in files.pop("merges.txt").splitlines()[1:]]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    files["tokenizer.json"] = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": files.pop("vocab.json"), "merges": merges},
    }
    files["tokenizer_config.json"]["tokenizer_class"] = "PreTrainedTokenizerFast"
    made = config("LlamaForCausalLM", vocabulary, {"tie_word_embeddings": True}, LARGE_TOWER)
    return made | {"torch_dtype": "bfloat16"}, files


MODELS = {"internlm2": internlm2, "qwen2": qwen2, "llama": llama}


def random_of(shapes: dict[str, list[int]], seed: int = 7) -> Tensors:
    random = np.random.default_rng(seed)
    return {name: random.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}


def save(file: pathlib.Path, tensors: Tensors, dtype: str) -> None:
    """BF16: the upper half of float32."""
    header, blobs, end = {}, [], 0
    for name, tensor in tensors.items():
        blobs.append(tensor.tobytes() if dtype == "F32" else (tensor.view(np.uint32) >> 16).astype("<u2").tobytes())
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [end, end + len(blobs[-1])]}
        end += len(blobs[-1])
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def load(file: pathlib.Path) -> Tensors:
    data = file.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            kind = {"F32": np.float32, "BF16": np.uint16}[entry["dtype"]]
            tensors[name] = np.frombuffer(data[start + begin : start + end], dtype=kind).reshape(entry["shape"])
    return tensors


def load_all(directory: pathlib.Path) -> Tensors:
    tensors: Tensors = {}
    for file in sorted(directory.glob("*.safetensors")):
        part = load(file)
        assert not tensors.keys() & part.keys(), "a tensor is stored twice"
        tensors |= part
    return tensors


def write_original(directory: pathlib.Path, name: str, shards: int = 1) -> None:
    config, files = MODELS[name]()
    directory.mkdir(parents=True)
    for file, content in (files | {"config.json": config, "conversation.py": CONVERSATION}).items():
        if isinstance(content, bytes):
            (directory / file).write_bytes(content)
        else:
            (directory / file).write_text(
                content if isinstance(content, str) else json.dumps(content), encoding="utf-8"
            )
    dtype = "BF16" if config["torch_dtype"] == "bfloat16" else "F32"
    save_shards(directory, random_of(shapes(config)), dtype, shards)


def save_shards(directory: pathlib.Path, tensors: Tensors, dtype: str, shards: int = 1) -> None:
    if shards == 1:
        save(directory / "model.safetensors", tensors, dtype)
        return
    places = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(tensors)}
    for shard in set(places.values()):
        save(directory / shard, {name: tensors[name] for name, place in places.items() if place == shard}, dtype)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def convert(source: pathlib.Path, target: pathlib.Path, *options: str) -> tuple[int, str]:
    """The converter's exit status and what it wrote to standard error."""
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        status = converter.main([*options, str(source), str(target)])
    return status, errors.getvalue()


def change_field(file: pathlib.Path, path: str, value: object) -> None:
    """Of a JSON file. None: removes it."""
    content = json.loads(file.read_text())
    *parents, name = path.split(".")
    inner = content
    for parent in parents:
        inner = inner[parent]
    inner[name] = value
    if value is None:
        del inner[name]
    file.write_text(json.dumps(content))


def check_refusal(test: unittest.TestCase, status: int, errors: str, *words: str) -> None:
    """One line, with these words."""
    test.assertEqual((status, errors.count("\n")), (1, 1), errors)
    for word in words:
        test.assertIn(word, errors)
