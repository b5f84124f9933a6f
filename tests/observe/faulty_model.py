"""Models that are broken: a copy in a way only pictures show, and a running server's in its memory."""

import json
import os
import pathlib
import re
import shutil
import struct

# 2^127 and -2^127 in bfloat16: products with them are exact, so that they cancel, fused or not.
HUGE_BFLOAT16 = b"\x00\x7f"
HUGE_NEGATIVE_BFLOAT16 = b"\x00\xff"


def break_patches(model: str, copy: pathlib.Path) -> None:
    """Two weights of the patch embedding so large that they overflow, and so opposite that they cancel where a patch
    has one color: every picture becomes NaN, but for one that is all grey: warm-up's."""
    copy.mkdir()
    for path in pathlib.Path(model).iterdir():
        if path.name != "model.safetensors":
            (copy / path.name).symlink_to(path)
    weights = copy / "model.safetensors"
    shutil.copyfile(pathlib.Path(model) / "model.safetensors", weights)
    with weights.open("r+b") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        tensors = json.loads(file.read(size))
        name = next(n for n in tensors if n.endswith("patch_embeddings.projection.weight"))
        if tensors[name]["dtype"] != "BF16":
            raise RuntimeError(f"{name} is {tensors[name]['dtype']}, not BF16")
        begin, _ = tensors[name]["data_offsets"]
        file.seek(8 + size + begin)
        file.write(HUGE_BFLOAT16 + HUGE_NEGATIVE_BFLOAT16)  # for the first two pixels' red


def break_memory(pid: int, model: str) -> None:
    """The decoder's last norm, wherever the process has it, becomes NaN: no step gives a number any more."""
    weights = (pathlib.Path(model) / "model.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", weights[:8])
    tensors = json.loads(weights[8 : 8 + size])
    (name,) = (n for n in tensors if re.search(r"language_model\.(model\.)?norm\.weight$", n))
    begin, end = tensors[name]["data_offsets"]
    norm = weights[8 + size + begin : 8 + size + end]
    as_float32 = b"".join(b"\0\0" + norm[i : i + 2] for i in range(0, len(norm), 2))
    found = 0
    process = pathlib.Path(f"/proc/{pid}")
    with (process / "maps").open() as maps, (process / "mem").open("r+b", buffering=0) as memory:
        for line in maps:
            start, stop, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if not rights.startswith("rw"):
                continue
            try:
                content = os.pread(memory.fileno(), int(stop, 16) - int(start, 16), int(start, 16))
            except OSError:
                continue
            for known in (norm, as_float32):
                at = content.find(known)
                while at >= 0:
                    found += os.pwrite(memory.fileno(), b"\xff" * len(known), int(start, 16) + at)
                    at = content.find(known, at + 1)
    if not found:
        raise RuntimeError(f"{name} is not in the server's memory")
