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


def says(*words: str) -> tuple[str, ...]:
    """What an error about config.json must contain: the file, and these words."""
    return ("config.json", *words)
