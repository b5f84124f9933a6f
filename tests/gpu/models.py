"""Writes the models the other steps need,
with random weights: the embedded model's shape, LLaVA-1.5-7B's, and two and three layers of it.

The embedded model itself is too large to carry; ROOT/model holds the rest of its directory, and tensors.json its
weights' names and shapes.
A few words and visual tokens get a huge value in one dimension, as sinks have it in trained models.
"""

import concurrent.futures
import dataclasses
import json
import shutil
import zlib
from collections.abc import Iterator

import numpy as np

import seven_billion
from step import FEW_LAYERS, ROOT, Settings, settings

SINK_DIMENSION = 507
SINK_TAU = 10.0
TINY = seven_billion.Shape(layers=2, width=256, inner=512, heads=4, tower_layers=2, tower_width=64, tower_heads=2)
BLOCK = 1 << 22


def sink_profile(dimensions: list[int], tau: float) -> str:
    return json.dumps({"decoder": "random", "sink_dimensions": dimensions, "tau": tau, "source": "tests/gpu/models.py"})


def embedded_weights(name: str, size: list[int]) -> np.ndarray:
    """Of a size that keeps hidden states and logits in the range they have in trained models."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    values = random.standard_normal(size, dtype=np.float32)
    decoder = name.startswith("language_model")
    if len(size) == 1:
        values *= 0.02
        if name.endswith("weight") or "lambda" in name:  # a norm's, or a layer's scale
            values += 1
        if decoder and name.endswith("model.norm.weight"):
            values[SINK_DIMENSION] = 0  # what makes a sink says nothing about the next word
    elif "embed" in name and "projection" not in name:
        values *= 0.15
    else:
        values /= np.sqrt(np.prod(size[1:]))
    if decoder and "o_proj" in name:
        values *= 0.3  # or the mean over all tokens, which changes little, decides on every word
    if decoder and "embed_tokens" in name:
        values[3::11, SINK_DIMENSION] = 60
    if name.endswith("linear_2.weight"):
        values[SINK_DIMENSION] *= 20
    return values


def make_embedded(s: Settings) -> None:
    scratch = s.embedded.with_name("embedded.making")
    shutil.copytree(ROOT / "model", scratch)
    tensors = json.loads((scratch / "tensors.json").read_text())

    def pieces(name: str, _: int) -> Iterator[np.ndarray]:
        yield seven_billion.bfloat16(embedded_weights(name, dict(tensors)[name]).reshape(-1))

    # As many files as processors, so that they are written at the same time.
    shards = [tensors[i :: s.threads] for i in range(s.threads)]
    names = [f"model-{i:05d}.safetensors" for i in range(len(shards))]
    with concurrent.futures.ThreadPoolExecutor(s.threads) as executor:
        list(
            executor.map(
                lambda name, shard: seven_billion.write_safetensors(scratch / name, shard, pieces), names, shards
            )
        )
    weight_map = {tensor: file for file, shard in zip(names, shards, strict=True) for tensor, _ in shard}
    (scratch / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (scratch / "var_profile.json").write_text(sink_profile([SINK_DIMENSION], SINK_TAU))
    scratch.rename(s.embedded)


def main() -> None:
    s = settings()
    make_embedded(s)
    shape = TINY if s.tiny else seven_billion.Shape()
    # Random weights have no massive dimensions: a low threshold makes every eighth token a sink.
    profile = sink_profile([1415 % shape.width, 2533 % shape.width], 1.8)
    made = [(s.seven_billion, shape)]
    made += [(s.few_layers(layers), dataclasses.replace(shape, layers=layers, tower_layers=2)) for layers in FEW_LAYERS]
    for out, of in made:
        seven_billion.make(ROOT / "model", out, of)
        (out / "var_profile.json").write_text(profile)


if __name__ == "__main__":
    main()
