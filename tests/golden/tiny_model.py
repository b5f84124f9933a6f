"""Tiny models without weights in the repository: every tensor comes from a hash of its name.

A spec (models/NAME.json) names the tensors of a Hugging Face directory; README.md says how they are
filled, so that Python and C++ build the same model bit for bit.
"""

import json
import math
import pathlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText, PreTrainedModel
from transformers.image_processing_utils import select_best_resolution
from transformers.models.llava_next.modeling_llava_next import unpad_image

import vila_reference  # noqa: F401 (registers VILA)

MODELS = pathlib.Path(__file__).parent / "models"


def uniform(name: str, count: int) -> np.ndarray:
    """`count` numbers of [0, 1), multiples of 2^-24: float64 [count]."""
    state = 0xCBF29CE484222325  # 64 bit FNV-1a
    for byte in name.encode("ascii"):
        state = ((state ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    with np.errstate(over="ignore"):  # splitmix64, modulo 2^64
        z = np.uint64(state) + np.arange(count, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) * 2.0**-24


def fill(
    name: str,
    shape: Sequence[int],
    scale: float,
    offset: float,
    rows: Mapping[str, float] | None = None,
    cells: Iterable[Sequence[float]] = (),
) -> np.ndarray:
    """The tensor a spec describes, float32."""
    signed = (2.0 * uniform(name, int(np.prod(shape))) - 1.0).astype(np.float32)  # exact
    values = (np.float32(offset) + np.float32(scale) * signed).reshape(shape)
    for row, factor in (rows or {}).items():
        values[int(row)] *= np.float32(factor)
    for *index, value in cells:
        values[tuple(index)] = np.float32(value)
    return values


def image_size(spec: dict, image: int) -> tuple[int, int]:
    """Height and width of the pictures' n-th, in pixels."""
    if "image_size" in spec:
        return spec["image_size"], spec["image_size"]
    height, width = spec["image_sizes"][image]
    return height, width


def has_tiles(spec: dict) -> bool:
    """Whether the tower gets pictures in square tiles, one below the other."""
    return spec["config"]["model_type"] == "internvl" or has_tile_text(spec) or "picture_sizes" in spec


def has_tile_text(spec: dict) -> bool:
    """Of Idefics3 and SmolVLM: text around each tile."""
    return "scale_factor" in spec["config"]


def joined_grid(spec: dict, image: int) -> tuple[int, int, int, int]:
    """Of LLaVA-NeXT and LLaVA-OneVision: rows and columns of the n-th picture's grid, and of its thumbnail's."""
    vision, size = spec["config"]["vision_config"], spec["picture_sizes"][image]
    side = vision["image_size"] // vision["patch_size"]
    resolution = select_best_resolution(size, spec["config"]["image_grid_pinpoints"])
    features = torch.empty(1, *(pixels // vision["image_size"] * side for pixels in resolution))
    rows, cols = unpad_image(features, size).shape[1:]
    most = spec["config"].get("vision_aspect_ratio", "").removeprefix("anyres_max_")
    ratio = math.sqrt(rows * cols / (int(most) * side**2)) if most else 0
    if ratio > 1.1:
        rows, cols = int(rows // ratio), int(cols // ratio)
    return rows, cols, side, side


def token_size(config: dict) -> int:
    """Pixels of a visual token, down and across."""
    vision = config["vision_config"]
    patch = vision["patch_size"]
    merged = vision.get("spatial_merge_size", config.get("scale_factor", 1)) / config.get("downsample_ratio", 1)
    return int((patch[0] if isinstance(patch, list) else patch) * merged)


def grid_size(spec: dict, image: int) -> tuple[int, int]:
    """Rows and columns of the n-th picture's visual tokens, where its features are not joined."""
    side = token_size(spec["config"])
    rows, cols = (pixels // side for pixels in image_size(spec, image))
    if goes_by_columns(spec):  # tokens of 2 x 2 patches, the last of an odd grid filled up
        return (rows + 1) // 2, (cols + 1) // 2
    return rows, cols


def goes_by_columns(spec: dict) -> bool:
    """Whether visual tokens go column by column: VILA's mlp_downsample."""
    return spec["config"].get("mm_projector_type") == "mlp_downsample"


def pixel_values(spec: dict, num_images: int) -> list[np.ndarray]:
    """[3, height, width] of each image; the first images are the same whatever their number."""
    shapes = [(3, *image_size(spec, image)) for image in range(num_images)]
    sizes = [int(np.prod(shape)) for shape in shapes]
    bytes_ = np.floor(256.0 * uniform("pixel_values", sum(sizes)))
    values = (bytes_ / 64.0 - 2.0).astype(np.float32)  # exact
    parts = np.split(values, np.cumsum(sizes)[:-1]) if sizes else []
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def load_spec(name: str) -> dict:
    return json.loads((MODELS / f"{name}.json").read_text())


def write_checkpoint(spec: dict, directory: str | pathlib.Path) -> None:
    """Writes the spec as a Hugging Face model directory."""
    directory = pathlib.Path(directory)
    (directory / "config.json").write_text(json.dumps(spec["config"]))
    tensors = {t["name"]: torch.from_numpy(fill(**t)) for t in spec["tensors"]}
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def build(spec: dict) -> PreTrainedModel:
    """The model as transformers reads it from such a directory: float32, eager attention."""
    with tempfile.TemporaryDirectory() as directory:
        write_checkpoint(spec, directory)
        model, info = AutoModelForImageTextToText.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[problem]:
            raise ValueError(f"{problem}: {sorted(info[problem])}")
    return model.eval()
