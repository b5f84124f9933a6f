"""Features of scenes from the vision tower with low-rank updates, as the served model computes them."""

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import Dinov2Config, Dinov2Model

from recipe import dinov2
from recipe.trained_part import TOWER
from scenes.scene import SIDE
from training import lora

MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])
# The hidden states that the projector reads, concatenated: the deeper one knows what things are; the other one, five
# layers earlier, still distinguishes drawings.
FEATURE_LAYERS = (-6, -1)
# The names of linear layers in transformers, and in the published weights.
MODULES = {
    "q_proj": "attention.query",
    "k_proj": "attention.key",
    "v_proj": "attention.value",
    "o_proj": "output.dense",
    "fc1": "fc1",
    "fc2": "fc2",
}


class VisionTower(nn.Module):
    def __init__(self, source: dinov2.VisionTower, device: torch.device = torch.device("cpu")) -> None:
        super().__init__()
        # Rounded as in serving, so that the projector is trained on its real input.
        weights = {name: torch.tensor(value).bfloat16().float() for name, value in source.weights.items()}
        self._model, loading = Dinov2Model.from_pretrained(
            None, config=Dinov2Config(**source.config), state_dict=weights, output_loading_info=True
        )
        if loading["missing_keys"] or loading["unexpected_keys"]:
            raise ValueError(f"the vision tower's weights do not fit: {loading}")
        lora.adapt(self._model.eval(), MODULES, lora.products_of(device))
        self.to(device)
        self._mean, self._std = MEAN.to(device), STD.to(device)
        patch = source.config["patch_size"]
        self.grid = SIDE // patch  # visual tokens per row and per column
        self.width = len(FEATURE_LAYERS) * source.config["hidden_size"]

    def adapters(self) -> dict[str, nn.Parameter]:
        adapters = {}
        for name, parameter in lora.adapters(self._model, TOWER).items():
            module, which, _ = name.rsplit(".", 2)
            layer, _, child = module.rpartition(".")
            adapters[f"{layer}.{MODULES[child]}.{which}.weight"] = parameter
        return adapters

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """[B, S, S, 3] uint8 => [B, P, Cv], row by row, in the form that LLaVA uses"""
        pixels = ((pixels / 255.0 - self._mean) / self._std).permute(0, 3, 1, 2)  # [B, 3, S, S]
        states = self._model(pixels, output_hidden_states=True).hidden_states  # each [B, 1 + P, width of the tower]
        return torch.cat([states[layer][:, 1:] for layer in FEATURE_LAYERS], dim=-1)

    @torch.no_grad()
    def features(self, picture: Image.Image) -> torch.Tensor:
        """=> [P, Cv]"""
        return self(torch.from_numpy(np.array(picture))[None])[0]
