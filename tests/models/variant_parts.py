"""What the variants have in common."""

from collections.abc import Callable

Add = Callable[..., None]  # add() of variants.variants()


class Removed:
    """In place of a value: the field is not there."""


LINEAR = {"type": "linear", "factor": 2.0}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
HEAD = "language_model.lm_head.weight"
EMBEDDINGS = "language_model.model.embed_tokens.weight"
NORM = "language_model.model.norm.weight"
Q_PROJ = "language_model.model.layers.1.self_attn.q_proj"
BIASES = ["multi_modal_projector.linear_1.bias", "multi_modal_projector.linear_2.bias"]
INDEX = "model.safetensors.index.json"
# Third and fifth of the tokens the base generates.
THIRD, FIFTH = 49, 85


# Of every shape: a token's size and less, lines, a large one, shades of grey.
PICTURES = ["28x28.png", "1000x40.png", "40x1000.png", "2000x1500.png", "grey.png", "1x1.png", "3000x17.png"]
TWO_TURNS = [
    ["system", ["Be brief."]],
    ["user", ["31x33.png", "1000x40.png", "Which one is wide?"]],
    ["assistant", ["The second."]],
    ["user", ["And these?", "grey.png", "2x3.png", "40x1000.png", "Which one is tall?"]],
]


def says(*words: str) -> tuple[str, ...]:
    """What an error about config.json must contain: the file, and these words."""
    return ("config.json", *words)


def pictures_and_conversations(add: Add, spec: str, question: str = "What is it?") -> None:
    """The model as it is, asked about every shape of picture, several of them, and none."""
    add(spec, spec=spec)
    for picture in PICTURES:
        add(f"{spec} {picture}", spec=spec, conversation=[["user", [picture, question]]])
    add(f"{spec} five images in two turns", spec=spec, conversation=TWO_TURNS)
    add(f"{spec} text only", spec=spec, conversation=[["user", ["What is a picture?"]]])


def picture_last(add: Add, spec: str) -> None:
    add(f"{spec} picture last", spec=spec, conversation=[["user", ["What is it?", "31x33.png"]]])


def other_processors(add: Add, spec: str) -> None:
    """Those of CLIP and of LLaVA in place of the family's own."""
    add(
        f"{spec} another image processor",
        ("preprocessor_config.json", "image_processor_type"),
        spec=spec,
        preprocessor={"/image_processor_type": "CLIPImageProcessor"},
    )
    add(
        f"{spec} another processor",
        ("processor_config.json", "processor_class"),
        spec=spec,
        processor={"/processor_class": "LlavaProcessor"},
    )


def number_of_tokens(add: Add, spec: str, field: str, wrong: int, right: int, usual: int | None = None) -> None:
    """Of a picture or tile, in processor_config.json. `usual`: the processor's own, where it is not this model's."""
    file = "processor_config.json"
    add(
        f"{spec} another number of tokens",
        (file, f"{field} is {wrong}", str(right)),
        spec=spec,
        processor={f"/{field}": wrong},
    )
    if usual is not None:
        add(
            f"{spec} number of tokens missing",
            (file, f"{field} is {usual}"),
            spec=spec,
            processor={f"/{field}": Removed},
        )
