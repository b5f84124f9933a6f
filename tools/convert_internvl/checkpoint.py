"""The weights of a directory, converted shard by shard."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable

from config import Model
from fields import Refused
from safetensors_files import INDEX, Part, Tensor, read_tensors, shard_names, write_parts
from weights import Parts, all_parts


def split(shard: str, tensor: Tensor, parts: Parts) -> list[Part]:
    fused = sum(len(rows) for rows in parts.values() if rows is not None)
    if fused and fused != len(tensor.data):
        raise Refused(f"{shard}: the tensor {tensor.name} has {len(tensor.data)} rows; by config.json it has {fused}")
    return [Part(name, tensor, rows) for name, rows in parts.items()]


def read_shards(source: pathlib.Path, expected: dict[str, Parts]) -> dict[str, list[Part]]:
    """What each shard becomes: all tensors of the model, each once."""
    shards: dict[str, list[Part]] = {}
    found: dict[str, str] = {}
    for shard in shard_names(source):
        shards[shard] = []
        for tensor in read_tensors(source / shard):
            if tensor.name not in expected:
                raise Refused(f"{shard}: the tensor {tensor.name} is not one of this model, by config.json")
            if tensor.name in found:
                raise Refused(f"{shard}: the tensor {tensor.name} is in {found[tensor.name]} too")
            found[tensor.name] = shard
            shards[shard] += split(shard, tensor, expected[tensor.name])
    for name in expected:
        if name not in found:
            raise Refused(f"{', '.join(shards)}: the tensor {name} is missing")
    return shards


def convert_weights(source: pathlib.Path, target: pathlib.Path, model: Model, say: Callable[[str], None]) -> None:
    shards = read_shards(source, all_parts(model))
    total = 0
    for i, (shard, parts) in enumerate(shards.items(), start=1):
        size = write_parts(target / shard, parts)
        say(f"{shard} ({i} of {len(shards)}): {len(parts)} tensors, {size / 1e9:.2f} GB")
        total += size
    if len(shards) > 1:
        places = {part.name: shard for shard, parts in shards.items() for part in parts}
        index = {"metadata": {"total_size": total}, "weight_map": places}
        (target / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
