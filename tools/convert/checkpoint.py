"""The weights of a directory, converted shard by shard."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from fields import Refused
from safetensors_files import INDEX, SINGLE, Part, Tensor, write_parts
from weight_files import read_tensors, shard_names

# New name of a tensor => the rows of the original that it consists of; None: all, whatever they are.
Parts = dict[str, np.ndarray | None]


class Source(NamedTuple):
    """One directory with weights: those of the model, a pattern of the names of those that nothing reads, and what
    messages call the directory."""

    directory: pathlib.Path
    expected: dict[str, Parts]
    unread: str = r"(?!)"
    label: str = ""


def split(shard: str, tensor: Tensor, parts: Parts) -> list[Part]:
    fused = sum(len(rows) for rows in parts.values() if rows is not None)
    if fused and fused != len(tensor.data):
        raise Refused(f"{shard}: the tensor {tensor.name} has {len(tensor.data)} rows; by config.json it has {fused}")
    return [Part(name, tensor, rows) for name, rows in parts.items()]


def read_shards(source: Source) -> dict[str, list[Part]]:
    """What each shard becomes: all tensors of the model, each once."""
    shards: dict[str, list[Part]] = {}
    found: dict[str, str] = {}
    try:
        names = shard_names(source.directory)
    except Refused as error:
        raise Refused(f"{source.label}{error}") from None
    for name in names:
        shard = source.label + name
        shards[shard] = []
        for tensor in read_tensors(source.directory / name, shard):
            if re.fullmatch(source.unread, tensor.name):
                continue
            if tensor.name not in source.expected:
                raise Refused(f"{shard}: the tensor {tensor.name} is not one of this model, by config.json")
            if tensor.name in found:
                raise Refused(f"{shard}: the tensor {tensor.name} is in {found[tensor.name]} too")
            found[tensor.name] = shard
            shards[shard] += split(shard, tensor, source.expected[tensor.name])
    for name in source.expected:
        if name not in found:
            raise Refused(f"{', '.join(shards)}: the tensor {name} is missing")
    return shards


def convert_weights(sources: Sequence[Source], target: pathlib.Path, say: Callable[[str], None]) -> None:
    shards = [item for source in sources for item in read_shards(source).items() if item[1]]
    total, places = 0, {}
    for i, (shard, parts) in enumerate(shards, start=1):
        name = SINGLE if len(shards) == 1 else f"model-{i:05}-of-{len(shards):05}.safetensors"
        size = write_parts(target / name, parts)
        say(f"{shard} ({i} of {len(shards)}): {len(parts)} tensors, {size / 1e9:.2f} GB")
        total += size
        places |= dict.fromkeys((part.name for part in parts), name)
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": places}
        (target / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
