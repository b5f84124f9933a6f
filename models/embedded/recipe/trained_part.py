"""What this repository trained: the projector, and LoRA of the decoder's linear layers.

One safetensors file, named as the Hugging Face classes and PEFT name things:
  multi_modal_projector.linear_{1,2}.{weight,bias}
  language_model.model.layers.{l}.{module}.lora_{A,B}.weight      W += lora_alpha / r * B @ A
  vision_tower.encoder.layer.{l}.{module}.lora_{A,B}.weight       likewise
Small enough to live in a repository: weights are int8, in steps that training/compression.py chose; beside each tensor
...weight.scale, f16, the step of each rank of A and B and of each row of the projector. Biases are f16.
The file's metadata holds `lora_alpha`, `image_size`, the side in pixels of the pictures it was trained on, and
`vision_feature_layer`, the hidden states of the vision tower that the projector reads, as a JSON list.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open

PROJECTOR = "multi_modal_projector."
DECODER = "language_model."
TOWER = "vision_tower."
LORA_A = ".lora_A.weight"
LORA_B = ".lora_B.weight"
SCALE = ".scale"
METADATA = {"image_size", "lora_alpha", "vision_feature_layer"}


@dataclass(frozen=True)
class TrainedPart:
    image_size: int  # pixels
    lora_alpha: float
    vision_feature_layer: list[int]
    tensors: dict[str, np.ndarray]  # f32

    def projector(self) -> dict[str, np.ndarray]:
        return {name: value for name, value in self.tensors.items() if name.startswith(PROJECTOR)}

    def merge(self, prefix: str, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The weights of DECODER or TOWER with the low-rank updates added, others as they are."""
        merged = dict(weights)
        for name, a in self.tensors.items():
            if not (name.startswith(prefix) and name.endswith(LORA_A)):
                continue
            module = name.removeprefix(prefix).removesuffix(LORA_A)
            weight = weights.get(f"{module}.weight")
            b = self.tensors.get(f"{prefix}{module}{LORA_B}")
            if weight is None or b is None or weight.shape != (b.shape[0], a.shape[1]):
                raise ValueError(f"{name} does not fit the network")
            # Products are exact in f64, so the bytes do not depend on the matrix library.
            update = b.astype(np.float64) @ a.astype(np.float64)
            merged[f"{module}.weight"] = (weight + self.lora_alpha / a.shape[0] * update).astype(np.float32)
        return merged


def read_trained_part(path: Path) -> TrainedPart:
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        if not metadata.keys() >= METADATA:
            raise ValueError(f"{path}: the metadata must hold {', '.join(sorted(METADATA))}")
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    tensors = {name: value.astype(np.float32) for name, value in stored.items() if not name.endswith(SCALE)}
    for name, value in stored.items():
        if name + SCALE in stored:
            tensors[name] = value * np.expand_dims(stored[name + SCALE].astype(np.float32), line_axis(name))
    return TrainedPart(
        int(metadata["image_size"]),
        float(metadata["lora_alpha"]),
        json.loads(metadata["vision_feature_layer"]),
        tensors,
    )


def line_axis(name: str) -> int:
    """Along which numbers share a step: A is [r, in], B is [out, r], the projector's weights are [out, in]."""
    return 0 if name.endswith(LORA_B) else 1
