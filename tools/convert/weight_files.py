"""Which files of a directory have its weights."""

from __future__ import annotations

import pathlib

import pytorch_files
import safetensors_files
from fields import Fields, Refused
from safetensors_files import Tensor

SINGLES = (safetensors_files.SINGLE, "pytorch_model.bin")


def shard_names(directory: pathlib.Path) -> list[str]:
    """In the order of their names; safetensors where there are both kinds."""
    for single in SINGLES:
        if (directory / single).exists():
            return [single]
        if (directory / f"{single}.index.json").exists():
            return indexed_names(directory / f"{single}.index.json")
    raise Refused(f"{SINGLES[0]}: there is neither this file nor an index of it, nor {SINGLES[1]}, in {directory}")


def indexed_names(file: pathlib.Path) -> list[str]:
    index = Fields.read(file)
    names = sorted({str(name) for name in index.need("weight_map", dict).values()})
    if not names:
        raise index.refused("weight_map", "names no file")
    for name in names:
        if name in ("", "..") or pathlib.PurePath(name).name != name:
            raise index.refused("weight_map", f"names {name!r}, which is not a plain file name")
    return names


def read_tensors(file: pathlib.Path, label: str) -> list[Tensor]:
    """In the order of their data. `label`: what errors call the file."""
    tensors = (pytorch_files if file.suffix == ".bin" else safetensors_files).read_tensors(file, label)
    for tensor in tensors:
        if not tensor.name.isprintable():
            raise Refused(f"{label}: the tensor {tensor.name!r} has a name that cannot be printed")
    return tensors
