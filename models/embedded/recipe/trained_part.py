"""What this repository trained: the projector, and LoRA of the decoder's linear layers.

One safetensors file, named as the Hugging Face classes and PEFT name things:
  multi_modal_projector.linear_{1,2}.{weight,bias}                f16
  language_model.model.layers.{l}.{module}.lora_{A,B}.weight      W += lora_alpha / r * B @ A
A and B are int8, each rank of them with a f16 scale in ...weight.scale [r], which halves the file, or f16. The
file's metadata holds `lora_alpha` and `image_size`, the side in pixels of the pictures it was trained on.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open

PROJECTOR = "multi_modal_projector."
DECODER = "language_model."
LORA_A = ".lora_A.weight"
LORA_B = ".lora_B.weight"
SCALE = ".scale"


@dataclass(frozen=True)
class TrainedPart:
    image_size: int  # pixels
    lora_alpha: float
    tensors: dict[str, np.ndarray]  # f32

    def projector(self) -> dict[str, np.ndarray]:
        return {name: value for name, value in self.tensors.items() if name.startswith(PROJECTOR)}

    def merge(self, decoder: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The decoder's weights with the low-rank updates added, others as they are."""
        merged = dict(decoder)
        for name, a in self.tensors.items():
            if not name.endswith(LORA_A):
                continue
            module = name.removeprefix(DECODER).removesuffix(LORA_A)
            weight = decoder.get(f"{module}.weight")
            b = self.tensors.get(f"{DECODER}{module}{LORA_B}")
            if weight is None or b is None or weight.shape != (b.shape[0], a.shape[1]):
                raise ValueError(f"{name} does not fit the decoder")
            # Products are exact in f64, so the bytes do not depend on the matrix library.
            update = b.astype(np.float64) @ a.astype(np.float64)
            merged[f"{module}.weight"] = (weight + self.lora_alpha / a.shape[0] * update).astype(np.float32)
        return merged


def read_trained_part(path: Path) -> TrainedPart:
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        if not {"image_size", "lora_alpha"} <= metadata.keys():
            raise ValueError(f"{path}: the metadata must hold image_size and lora_alpha")
        stored = {name: file.get_tensor(name) for name in file.keys()}
    scales = {name: stored.pop(name) for name in list(stored) if name.endswith(SCALE)}
    tensors = {name: value.astype(np.float32) for name, value in stored.items()}
    for name, scale in scales.items():
        of = name.removesuffix(SCALE)
        tensors[of] *= _along_rank(of, scale.astype(np.float32))
    return TrainedPart(int(metadata["image_size"]), float(metadata["lora_alpha"]), tensors)


def quantize(name: str, weight: np.ndarray) -> dict[str, np.ndarray]:
    """A or B as it is stored: int8, and the scale of each rank."""
    largest = np.abs(weight).max(axis=1 if name.endswith(LORA_A) else 0)
    scale = np.maximum(largest / 127, np.finfo(np.float16).tiny).astype(np.float16)
    steps = np.rint(weight / _along_rank(name, scale.astype(np.float32)))
    return {name: np.clip(steps, -127, 127).astype(np.int8), name + SCALE: scale}


def _along_rank(name: str, scale: np.ndarray) -> np.ndarray:
    """A is [r, in], B is [out, r]."""
    return scale[:, None] if name.endswith(LORA_A) else scale[None, :]
