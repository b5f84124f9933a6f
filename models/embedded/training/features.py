"""Features of scenes by the frozen vision tower, as the served model computes them."""

import numpy as np
import torch
from PIL import Image
from transformers import Dinov2Config, Dinov2Model

from recipe import dinov2
from scenes.scene import SIDE

MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])
# The hidden states the projector reads, side by side: the deeper one knows what things are, the other one, five layers
# before, still tells one drawing from another.
FEATURE_LAYERS = (-6, -1)


class VisionTower:
    def __init__(self, source: dinov2.VisionTower):
        # Rounded as they are served, so that the projector learns on what it will get.
        weights = {name: torch.tensor(value).bfloat16().float() for name, value in source.weights.items()}
        self._model, loading = Dinov2Model.from_pretrained(
            None, config=Dinov2Config(**source.config), state_dict=weights, output_loading_info=True
        )
        if loading["missing_keys"] or loading["unexpected_keys"]:
            raise ValueError(f"the vision tower's weights do not fit: {loading}")
        self._model.eval().requires_grad_(False)
        patch = source.config["patch_size"]
        self.grid = SIDE // patch  # visual tokens per row and per column
        self.width = len(FEATURE_LAYERS) * source.config["hidden_size"]

    @torch.no_grad()
    def features(self, picture: Image.Image) -> torch.Tensor:
        """=> [P, Cv], row by row, as LLaVA takes them"""
        pixels = torch.from_numpy(np.array(picture)) / 255.0  # [S, S, 3]
        pixels = ((pixels - MEAN) / STD).permute(2, 0, 1)[None]  # [1, 3, S, S]
        states = self._model(pixels, output_hidden_states=True).hidden_states  # [1, 1 + P, width of the tower] each
        return torch.cat([states[layer][0, 1:] for layer in FEATURE_LAYERS], dim=-1)
