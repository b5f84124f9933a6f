"""VILA, for which transformers has no class, with its parts. Importing this registers it with the Auto classes.

Written after NVlabs/VILA: multimodal_projector/base_projector.py, multimodal_encoder/vision_encoder.py.
"""

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

# Numbers of linear layers.
PROJECTORS = {"linear": 1, "mlp2x_gelu": 2, "mlp_downsample": 2}


class VilaConfig(LlavaConfig):
    model_type = "vila"

    image_token_index: int = 0
    vision_feature_select_strategy: str = "full"
    mm_projector_type: str = ""


def num_tokens(config: VilaConfig) -> int:
    """Visual tokens of a picture, with its class token where that is kept."""
    vision = config.vision_config
    side = vision.image_size // vision.patch_size
    if config.mm_projector_type == "mlp_downsample":
        return ((side + 1) // 2) ** 2
    keeps_class_token = vision.model_type == "clip_vision_model" and config.vision_feature_select_strategy == "full"
    return side**2 + keeps_class_token


def down_sample(features: Tensor) -> Tensor:
    """DownSampleBlock. [n, side * side, C] => [n, (side / 2)^2, 4 C], columns first."""
    side = int(features.shape[1] ** 0.5)
    grid = features.new_zeros(len(features), side + side % 2, side + side % 2, features.shape[2])
    grid[:, :side, :side] = features.unflatten(1, (side, side))
    return torch.stack(
        [
            torch.cat([grid[:, row + down, col + right] for down in (0, 1) for right in (0, 1)], dim=-1)
            for col in range(0, side, 2)
            for row in range(0, side, 2)
        ],
        dim=1,
    )


class VilaProjector(nn.Module):
    def __init__(self, config: VilaConfig) -> None:
        super().__init__()
        layers = PROJECTORS[config.mm_projector_type]
        self.downsample = config.mm_projector_type == "mlp_downsample"
        width, hidden = config.vision_config.hidden_size * (4 if self.downsample else 1), config.text_config.hidden_size
        if self.downsample:
            self.layer_norm = nn.LayerNorm(width)
        self.linear_1 = nn.Linear(width, hidden)
        self.linear_2 = nn.Linear(hidden, hidden) if layers == 2 else None

    def forward(self, features: Tensor) -> Tensor:
        """[n, patches, Cv] => [n, visual tokens, C]"""
        if self.downsample:
            features = self.layer_norm(down_sample(features))
        hidden = self.linear_1(features)
        return self.linear_2(nn.functional.gelu(hidden)) if self.linear_2 else hidden


class VilaForConditionalGeneration(LlavaForConditionalGeneration):
    config_class = VilaConfig

    def __init__(self, config: VilaConfig) -> None:
        super().__init__(config)
        if config.vision_config.model_type == "siglip_vision_model" and config.vision_feature_select_strategy != "full":
            raise ValueError("vision_feature_select_strategy: SigLIP has no class token")
        self.model.multi_modal_projector = VilaProjector(config)


class VilaProcessor(LlavaProcessor):
    """Every picture has the number of tokens in processor_config.json, which the server takes from config.json."""

    def __init__(self, image_processor=None, tokenizer=None, chat_template=None, image_seq_length=0, **kwargs) -> None:  # noqa: ANN001, ANN003
        self.image_seq_length = image_seq_length
        super().__init__(image_processor, tokenizer, chat_template=chat_template, **kwargs)

    def replace_image_token(self, image_inputs: dict, image_idx: int, **kwargs: object) -> str:
        return self.image_token * self.image_seq_length


AutoConfig.register("vila", VilaConfig)
AutoModelForImageTextToText.register(VilaConfig, VilaForConditionalGeneration)
AutoProcessor.register(VilaConfig, VilaProcessor)
