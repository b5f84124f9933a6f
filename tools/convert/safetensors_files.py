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


def read_tensors(file: pathlib.Path) -> list[Tensor]:
    """In the order of their data."""
    try:
        with safe_open(file, framework="numpy"):  # checks the header
            pass
    except FileNotFoundError:
        raise Refused(f"{file.name}: is missing in {file.parent}") from None
    except SafetensorError as error:
        raise Refused(f"{file.name}: {error}") from None
    data = np.memmap(file, dtype=np.uint8, mode="r")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    header.pop("__metadata__", None)
    tensors = []
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        rows = entry["shape"][0] if entry["shape"] else 1
        tensors.append(
            Tensor(name, entry["dtype"], entry["shape"], data[start + begin : start + end].reshape(rows, -1))
        )
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
