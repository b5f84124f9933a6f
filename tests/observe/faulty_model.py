"""A copy of a model that is broken in a way only pictures show."""

import json
import os
import pathlib
import shutil
import struct

LARGEST_BFLOAT16 = b"\x7f\x7f"  # 3.4e38


def break_patches(model: str, copy: pathlib.Path) -> None:
    """Weights of the patch embedding so large that every picture becomes NaN, but for one that is all mean color: warm-up's."""
    copy.mkdir()
    for path in pathlib.Path(model).iterdir():
        if path.name != "model.safetensors":
            os.symlink(path, copy / path.name)
    weights = copy / "model.safetensors"
    shutil.copyfile(pathlib.Path(model) / "model.safetensors", weights)
    with open(weights, "r+b") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        tensors = json.loads(file.read(size))
        name = next(n for n in tensors if n.endswith("patch_embeddings.projection.weight"))
        if tensors[name]["dtype"] != "BF16":
            raise RuntimeError(f"{name} is {tensors[name]['dtype']}, not BF16")
        begin, end = tensors[name]["data_offsets"]
        file.seek(8 + size + begin)
        file.write(LARGEST_BFLOAT16 * ((end - begin) // 2))
