"""Makes prompts of the VAR cases' layouts."""

import random

import model_specs
from qwen2_vl_specs import BOS, IMAGE_TOKEN
from tiny_model import goes_by_columns, grid_size, has_tile_text, image_size, joined_grid
from var_cases import Layout
from var_reference import Prompt


def prompt_of(spec: dict, input_ids: list[int], spans: list[list[int]]) -> Prompt:
    return Prompt(input_ids, spans, goes_by_columns(spec))


def make_prompt(layout: Layout, spec: dict, seed: int) -> Prompt:
    """Text tokens are drawn by `seed`; the layout's items are explained in var_cases.py."""
    rng = random.Random(seed)
    input_ids, spans = [], []
    for item in layout:
        if item == "bos":
            input_ids.append(BOS)
        elif item == ".":
            input_ids.append(rng.choice(model_specs.SINK_TOKENS[1:]))
        elif item == "image":
            tokens, grids = image_tokens(spec, len(spans), rng)
            spans.append([len(input_ids), len(input_ids) + len(tokens), *grids])
            input_ids += tokens
        else:
            input_ids += [rng.randrange(3, IMAGE_TOKEN) for _ in range(item)]
    return prompt_of(spec, input_ids, spans)


def image_tokens(spec: dict, image: int, rng: random.Random) -> tuple[list[int], tuple[int, ...]]:
    """Of the n-th picture, with rows and columns of its grid, and of its thumbnail's where it has one."""
    if "picture_sizes" in spec:
        rows, cols, *thumbnail = joined_grid(spec, image)
        return [IMAGE_TOKEN] * (thumbnail[0] * thumbnail[1] + rows * (cols + 1)), (rows, cols, *thumbnail)
    rows, cols = grid_size(spec, image)
    if has_tile_text(spec):
        height, width = image_size(spec, image)
        return tiles_with_text(rng, height // width, cols**2), (height // width * cols, cols)
    config = spec["config"]
    siglip = config["vision_config"].get("model_type") == "siglip_vision_model"  # without a class token
    class_token = config.get("vision_feature_select_strategy") == "full" and not siglip
    return [IMAGE_TOKEN] * (rows * cols + class_token), (rows, cols)


def tiles_with_text(rng: random.Random, tiles: int, tokens: int) -> list[int]:
    """Two text tokens before each tile, the first a sink, as "\\n" is in trained decoders, and one after the last."""
    ids = []
    for _ in range(tiles):
        ids += [rng.choice(model_specs.SINK_TOKENS[1:]), rng.randrange(3, IMAGE_TOKEN), *[IMAGE_TOKEN] * tokens]
    return [*ids, rng.randrange(3, IMAGE_TOKEN)]
