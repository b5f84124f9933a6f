"""Names of tensors in checkpoints, by those that transformers' modules have."""

import re
from collections.abc import Callable

Naming = Callable[[str], str]  # of a tensor in a checkpoint, from its name in transformers


def hub_names(name: str) -> str:
    """As llava-hf/llava-1.5-7b-hf was published (transformers before 4.52)."""
    name = re.sub(r"^lm_head", "language_model.lm_head", name)
    name = re.sub(r"^model\.language_model", "language_model.model", name)
    name = re.sub(r"^model\.vision_tower", "vision_tower.vision_model", name)
    return re.sub(r"^model\.", "", name)


def module_names(name: str) -> str:
    """The modules' own names in transformers 4.52 to 4.57, where a CLIP tower has an inner vision_model."""
    return re.sub(r"^model\.vision_tower", "model.vision_tower.vision_model", name)


def own_names(name: str) -> str:
    """The modules' own names in this transformers."""
    return name


def internvl_names(name: str) -> str:
    """As OpenGVLab/InternVL3-1B-hf was published."""
    name = re.sub(r"^lm_head", "language_model.lm_head", name)
    name = re.sub(r"^model\.language_model", "language_model.model", name)
    return re.sub(r"^model\.", "", name)


def qwen2_vl_names(name: str) -> str:
    """As Qwen/Qwen2-VL-2B-Instruct was published."""
    name = re.sub(r"^model\.language_model", "model", name)
    return re.sub(r"^model\.visual", "visual", name)
