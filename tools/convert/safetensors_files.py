"""Safetensors files as bytes: a tensor is rows of bytes, whatever its dtype, and stays on disk until it is used."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from fields import Refused

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


class Tensor(NamedTuple):
    name: str
    dtype: str
    shape: list[int]
    data: np.ndarray  # uint8; [rows, bytes of a row]


def rows_of(name: str, shape: list[int], data: np.ndarray, label: str) -> np.ndarray:
    """A tensor's bytes, row by row."""
    rows = shape[0] if shape else 1
    if rows == 0 or len(data) == 0 or len(data) % rows != 0:
        raise Refused(f"{label}: the tensor {name!r} of shape {shape} has {len(data)} bytes, which are no rows")
    return data.reshape(rows, -1)


def read_tensors(file: pathlib.Path, label: str) -> list[Tensor]:
    """In the order of their data. `label`: what errors call the file."""
    if not file.is_file():
        raise Refused(f"{label}: is missing in {file.parent}, or is not a file")
    try:
        with safe_open(file, framework="numpy"):  # checks the header
            pass
    except SafetensorError as error:
        raise Refused(f"{label}: {error}") from None
    data = np.memmap(file, dtype=np.uint8, mode="r")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    header.pop("__metadata__", None)
    tensors = []
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        bytes_ = rows_of(name, entry["shape"], data[start + begin : start + end], label)
        tensors.append(Tensor(name, entry["dtype"], entry["shape"], bytes_))
    return tensors


class Part(NamedTuple):
    """Rows of a tensor under a new name; None: all of it."""

    name: str
    tensor: Tensor
    rows: np.ndarray | None


def write_parts(file: pathlib.Path, parts: Sequence[Part]) -> int:
    """Returns the number of bytes of all tensors. In memory is only what a single tensor's rows are."""
    header: dict[str, dict] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor, rows in parts:
        begin, count = end, len(tensor.data) if rows is None else len(rows)
        end += count * tensor.data.shape[1]
        shape = tensor.shape if rows is None else [count, *tensor.shape[1:]]
        header[name] = {"dtype": tensor.dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for _, tensor, rows in parts:
            (tensor.data if rows is None else tensor.data[rows]).tofile(out)
    return end
