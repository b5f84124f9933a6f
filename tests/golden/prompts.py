"""Prompts of the golden values, drawn by a seed."""

import random

from model_specs import SINK_TOKENS
from qwen2_vl_specs import BOS, IMAGE_TOKEN
from tiny_model import goes_by_columns, grid_size, joined_grid
from var_cases import Layout
from var_reference import Prompt


def prompt_of(spec: dict, input_ids: list[int], spans: list[list[int]]) -> Prompt:
    return Prompt(input_ids, spans, goes_by_columns(spec))


def make_prompt(layout: Layout, spec: dict, seed: int) -> Prompt:
    """Text tokens are drawn by `seed`; the layout's items are explained in var_cases.py."""
    rng = random.Random(seed)
    siglip = spec["config"]["vision_config"].get("model_type") == "siglip_vision_model"  # without a class token
    class_token = spec["config"].get("vision_feature_select_strategy") == "full" and not siglip
    input_ids, spans = [], []
    for item in layout:
        if item == "bos":
            input_ids.append(BOS)
        elif item == ".":
            input_ids.append(rng.choice(SINK_TOKENS[1:]))
        elif item == "image":
            if "picture_sizes" in spec:
                rows, cols, *thumbnail = joined_grid(spec, len(spans))
                num_tokens = thumbnail[0] * thumbnail[1] + rows * (cols + 1)
            else:
                rows, cols, *thumbnail = grid_size(spec, len(spans))
                num_tokens = rows * cols + class_token
            spans.append([len(input_ids), len(input_ids) + num_tokens, rows, cols, *thumbnail])
            input_ids += [IMAGE_TOKEN] * num_tokens
        else:
            input_ids += [rng.randrange(3, IMAGE_TOKEN) for _ in range(item)]
    return prompt_of(spec, input_ids, spans)
