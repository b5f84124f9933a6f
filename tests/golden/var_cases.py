"""The VAR cases: which prompt, under which setting, has to show what."""

from dataclasses import dataclass, replace

import numpy as np

from var_reference import AUTHORS_CODE, PAPER, Generation, Prompt, VarSettings

# "bos", "image", ".": a text token that is a sink, a number: so many text tokens.
Layout = tuple[str | int, ...]

ONE_IMAGE = ("bos", 4, "image", 5, ".", 5)
IMAGE_FIRST = ("image", "bos", 4, ".", 5)
ADJACENT_IMAGES = ("bos", 3, "image", "image", 4, ".", 4)
SEPARATED_IMAGES = ("bos", 3, "image", 3, ".", 2, "image", 4, ".", 2)
SEVERAL_TURNS = ("bos", 3, "image", 4, ".", 3, "bos", 4, ".", 3, "bos", 4)
ENDS_WITH_IMAGE = ("bos", 4, ".", 2, "image")
ONLY_TEXT = ("bos", 6, ".", 6)


def mixed_heads(prompt: Prompt, settings: VarSettings, generation: Generation) -> bool:
    """Some heads are image-centric and some are not."""
    heads = [s.image_centric for shares in generation.evidence.shares.values() for s in shares]
    return 0.15 <= sum(heads) / len(heads) <= 0.85


def generated_sinks(prompt: Prompt, settings: VarSettings, generation: Generation) -> bool:
    """A generated token passes the sink test, whether it counts or not."""
    layers = slice(settings.first_layer, settings.last_layer + 1)
    return (generation.evidence.phi[layers, len(prompt.input_ids) :] > settings.tau).any()


def visual_sinks_by_image(prompt: Prompt, generation: Generation) -> list[np.ndarray]:
    """[L] for each image: whether it has a sink in the layer."""
    visual = [[i for i in range(begin, end) if prompt.is_visual(i)] for begin, end, *_ in prompt.spans]
    return [generation.evidence.sinks[:, of_image].any(axis=1) for of_image in visual]


def sinks_in_second_image_only(prompt: Prompt, settings: VarSettings, generation: Generation) -> bool:
    """In some layer, rows between the images see no visual sink though the prompt has one."""
    first, second = visual_sinks_by_image(prompt, generation)
    return (second & ~first).any()


def sinks_in_two_images(prompt: Prompt, settings: VarSettings, generation: Generation) -> bool:
    """In some layer, two images have sinks."""
    return (np.sum(visual_sinks_by_image(prompt, generation), axis=0) >= 2).any()


@dataclass(frozen=True)
class Case:
    name: str
    model: str
    layout: Layout
    settings: dict  # what differs from the defaults of the variant
    variant: str = PAPER
    maps: bool = False  # keep attention maps
    shows: tuple = (mixed_heads,)  # conditions the prompt is chosen for

    def var_settings(self, spec: dict) -> VarSettings:
        num_layers = spec["config"].get("text_config", spec["config"])["num_hidden_layers"]
        paper = VarSettings(
            mode="ON",
            variant=PAPER,
            tau=spec["profile"]["tau"],
            rho=0.8,
            p=0.6,
            min_visual_attention=0.2,
            first_layer=0,
            last_layer=num_layers - 2,
        )
        authors = replace(paper, variant=AUTHORS_CODE, rho=0.5, p=0.4, first_layer=2, last_layer=num_layers - 1)
        return replace(paper if self.variant == PAPER else authors, **self.settings)


CASES = (
    Case("general", "clip_mha", ONE_IMAGE, {}, shows=(mixed_heads, generated_sinks)),
    Case("hallucination", "clip_mha", ONE_IMAGE, {"rho": 0.5}, shows=()),
    Case("vision_centric", "clip_mha", ONE_IMAGE, {"rho": 0.9}),
    Case("observe", "clip_mha", ONE_IMAGE, {"mode": "OBSERVE"}, maps=True, shows=(mixed_heads, generated_sinks)),
    Case("p_zero", "clip_mha", ONE_IMAGE, {"p": 0.0}),
    Case("p_one", "clip_mha", IMAGE_FIRST, {"p": 1.0}),
    Case("ends_with_image", "clip_mha", ENDS_WITH_IMAGE, {}),
    Case("only_text", "clip_mha", ONLY_TEXT, {}, shows=(generated_sinks,)),
    Case("authors", "clip_mha", ONE_IMAGE, {}, AUTHORS_CODE, shows=(generated_sinks,)),
    Case("image_first", "clip_gqa", IMAGE_FIRST, {}, shows=(mixed_heads, generated_sinks)),
    Case("adjacent_images", "clip_gqa", ADJACENT_IMAGES, {}, maps=True),
    Case("separated_images", "clip_gqa", SEPARATED_IMAGES, {}),
    Case("several_turns", "clip_gqa", SEVERAL_TURNS, {"min_visual_attention": 0.4}),
    Case("every_token_a_sink", "clip_gqa", ONE_IMAGE, {"tau": 0.001, "rho": 0.0}, shows=()),
    Case("no_token_a_sink", "clip_gqa", ONE_IMAGE, {"tau": 12.0, "min_visual_attention": 0.5}),
    Case(
        "authors_image_first",
        "clip_gqa",
        IMAGE_FIRST,
        {"rho": 0.85},
        AUTHORS_CODE,
        shows=(mixed_heads, generated_sinks),
    ),
    Case("position_interpolation", "dinov2_gqa", ONE_IMAGE, {"rho": 0.9}, shows=(mixed_heads, generated_sinks)),
    Case("layer_range", "dinov2_gqa", SEVERAL_TURNS, {"rho": 0.9, "first_layer": 1, "last_layer": 2}),
    Case("first_layer_only", "dinov2_gqa", IMAGE_FIRST, {"rho": 0.9, "last_layer": 0}),
    Case("no_head_selection", "dinov2_gqa", ONE_IMAGE, {"rho": 0.0, "min_visual_attention": 0.0}, shows=()),
    Case(
        "authors_every_layer",
        "dinov2_gqa",
        ONE_IMAGE,
        {"rho": 0.9, "p": 0.6, "first_layer": 0},
        AUTHORS_CODE,
        maps=True,
    ),
    Case("class_token", "llama3_rope", ONE_IMAGE, {"rho": 0.95}, maps=True),
    Case(
        "last_layer_too",
        "llama3_rope",
        IMAGE_FIRST,
        {"rho": 0.95, "last_layer": 4},
        shows=(mixed_heads, generated_sinks),
    ),
    Case("one_kv_head", "mistral", ONE_IMAGE, {"rho": 0.5}, maps=True, shows=()),
    Case("biases", "qwen2", ADJACENT_IMAGES, {"rho": 0.5}, maps=True, shows=()),
    Case("head_norms", "qwen3", ONE_IMAGE, {"rho": 0.5}, maps=True, shows=()),
    Case("authors_head_norms", "qwen3", IMAGE_FIRST, {"first_layer": 0}, AUTHORS_CODE, shows=()),
    Case("mrope", "qwen2_vl", SEPARATED_IMAGES, {"rho": 0.5}, maps=True),
    Case("authors_mrope", "qwen2_vl", SEVERAL_TURNS, {"first_layer": 0}, AUTHORS_CODE, shows=()),
    Case("windows", "qwen2_5_vl", SEPARATED_IMAGES, {"rho": 0.5}, maps=True),
    Case("deepstack", "qwen3_vl", SEPARATED_IMAGES, {"rho": 0.5}, maps=True, shows=(mixed_heads, sinks_in_two_images)),
    Case(
        "authors_deepstack",
        "qwen3_vl",
        SEPARATED_IMAGES,
        {"first_layer": 0},
        AUTHORS_CODE,
        shows=(sinks_in_two_images,),
    ),
    Case("tiles", "internvl", SEPARATED_IMAGES, {"rho": 0.5}, maps=True, shows=(mixed_heads, sinks_in_two_images)),
    Case("authors_tiles", "internvl", SEPARATED_IMAGES, {"first_layer": 0}, AUTHORS_CODE, shows=(sinks_in_two_images,)),
    Case("tiles_and_head_norms", "internvl3_5", ADJACENT_IMAGES, {"rho": 0.5}, maps=True, shows=()),
    Case("authors_tiles_and_head_norms", "internvl3_5", SEVERAL_TURNS, {"first_layer": 0}, AUTHORS_CODE, shows=()),
    Case("newlines", "llava_next", SEPARATED_IMAGES, {"rho": 0.8}, maps=True, shows=(mixed_heads, sinks_in_two_images)),
    Case(
        "authors_newlines",
        "llava_next",
        SEPARATED_IMAGES,
        {"first_layer": 0},
        AUTHORS_CODE,
        shows=(sinks_in_two_images,),
    ),
    Case(
        "resized_features",
        "llava_onevision",
        SEPARATED_IMAGES,
        {"rho": 0.8},
        maps=True,
        shows=(mixed_heads, sinks_in_two_images),
    ),
    Case(
        "authors_resized_features",
        "llava_onevision",
        SEPARATED_IMAGES,
        {"first_layer": 0},
        AUTHORS_CODE,
        shows=(sinks_in_two_images,),
    ),
    Case("columns", "vila1_5", SEPARATED_IMAGES, {"rho": 0.5}, maps=True, shows=(mixed_heads, sinks_in_two_images)),
    Case(
        "authors_columns", "vila1_5", SEPARATED_IMAGES, {"first_layer": 0}, AUTHORS_CODE, shows=(sinks_in_two_images,)
    ),
    Case("linear_projector", "vila1_0", ADJACENT_IMAGES, {"rho": 0.7}, maps=True, shows=(sinks_in_two_images,)),
    Case("authors_linear_projector", "vila1_0", SEVERAL_TURNS, {"first_layer": 0}, AUTHORS_CODE, shows=()),
    Case("tile_text", "idefics3", SEPARATED_IMAGES, {"rho": 0.5}, maps=True, shows=(mixed_heads, sinks_in_two_images)),
    Case(
        "authors_tile_text",
        "idefics3",
        SEPARATED_IMAGES,
        {"first_layer": 0},
        AUTHORS_CODE,
        shows=(sinks_in_two_images,),
    ),
    Case("tile_text_between_images", "smolvlm", ADJACENT_IMAGES, {"rho": 0.5}, maps=True, shows=()),
    Case("authors_tile_text_between_images", "smolvlm", SEVERAL_TURNS, {"first_layer": 0}, AUTHORS_CODE, shows=()),
    Case("two_images_p_one", "llama3_rope", SEPARATED_IMAGES, {"rho": 0.8, "p": 1.0}),
    Case("authors_adjacent_images", "llama3_rope", ADJACENT_IMAGES, {"rho": 0.8}, AUTHORS_CODE),
    Case(
        "authors_separated_images",
        "llama3_rope",
        SEPARATED_IMAGES,
        {"tau": 6.8, "rho": 0.8, "first_layer": 0},
        AUTHORS_CODE,
        shows=(mixed_heads, sinks_in_second_image_only),
    ),
)
