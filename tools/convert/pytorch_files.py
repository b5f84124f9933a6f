"""Weights that torch.save wrote (torch 1.6 or newer), read without torch: of the pickle, only tensors and their
storages are made, so a file can run no code. A tensor's bytes stay on disk until they are used."""

from __future__ import annotations

import collections
import io
import math
import pathlib
import pickle
import pickletools
import struct
import zipfile
from typing import IO, NamedTuple

import numpy as np

from fields import Refused
from safetensors_files import Tensor, rows_of

LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip file: it ends with the sizes of name and extra field
# torch's class of a storage => safetensors' name of its numbers, and their size.
DTYPES = {
    "FloatStorage": ("F32", 4),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
}


class View(NamedTuple):
    """A tensor without its name."""

    dtype: str
    shape: list[int]
    data: np.ndarray  # uint8


class Storage(NamedTuple):
    dtype: str
    item_size: int
    data: np.ndarray  # uint8


def check_memo(stream: bytes) -> None:
    """The memo is a table as long as its largest index: a few bytes could ask for all memory."""
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > len(stream):
            raise pickle.UnpicklingError(f"the memo has the index {argument}")


def rebuild_tensor(storage: Storage, offset: int, shape: tuple, strides: tuple, *_: object) -> View:
    contiguous = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    if any(stride != other for stride, other, size in zip(strides, contiguous, shape, strict=True) if size > 1):
        raise pickle.UnpicklingError("a tensor is not contiguous")
    begin, end = offset * storage.item_size, (offset + math.prod(shape)) * storage.item_size
    if not 0 <= begin <= end <= len(storage.data):
        raise pickle.UnpicklingError("a tensor is larger than its storage")
    return View(storage.dtype, [*shape], storage.data[begin:end])


class Reader(pickle.Unpickler):
    def __init__(self, stream: IO[bytes], file: pathlib.Path, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(stream)
        self._archive, self._root = archive, root
        self._bytes = np.memmap(file, dtype=np.uint8, mode="r")

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild_tensor
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not a tensor's")

    def persistent_load(self, saved: tuple) -> Storage:
        _, (dtype, item_size), key, _, _ = saved
        entry = self._archive.getinfo(f"{self._root}/data/{key}")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise pickle.UnpicklingError("a storage is compressed")
        begin = entry.header_offset
        begin += LOCAL_HEADER.size + sum(LOCAL_HEADER.unpack(self._bytes[begin : begin + LOCAL_HEADER.size].tobytes()))
        return Storage(dtype, item_size, self._bytes[begin : begin + entry.file_size])


def tensors_of(values: object) -> dict[str, View]:
    if not isinstance(values, dict):
        raise pickle.UnpicklingError("is not a table of tensors")
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, View):
            raise pickle.UnpicklingError(f"{name} is not a tensor")
    return values


def read_tensors(file: pathlib.Path, label: str) -> list[Tensor]:
    """In the order of the file's names. `label`: what errors call the file."""
    if not file.is_file():
        raise Refused(f"{label}: is missing in {file.parent}, or is not a file")
    try:
        with zipfile.ZipFile(file) as archive:
            root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix("/data.pkl")
            stream = archive.read(f"{root}/data.pkl")
            check_memo(stream)
            values = tensors_of(Reader(io.BytesIO(stream), file, archive, root).load())
        return [
            Tensor(name, view.dtype, view.shape, rows_of(name, view.shape, view.data, label))
            for name, view in values.items()
        ]
    except Refused:
        raise
    except (zipfile.BadZipFile, StopIteration):
        raise Refused(f"{label}: is not what torch.save writes since torch 1.6") from None
    except Exception as error:  # a damaged pickle can raise any
        raise Refused(f"{label}: is damaged: {error or type(error).__name__}") from None
