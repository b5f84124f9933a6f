"""Variants of text_config's model_type: the decoders."""

from variant_parts import Add, says

KIND = "/text_config/model_type"


def decoder_variants(add: Add) -> None:
    add("text model_type gemma", says("text_config.model_type", "gemma"), config={KIND: "gemma"})
    mistral = {KIND: "mistral", "/text_config/num_key_value_heads": 4}
    add(
        "text model_type mistral, KV heads by default",
        says("num_key_value_heads"),
        config={KIND: "mistral"},
    )
    add("text model_type mistral", config=mistral)
    add(
        "text model_type mistral, window by default",
        says("text_config.sliding_window"),
        config=mistral | {"/text_config/max_position_embeddings": 8192},
    )
    qwen = {"/text_config/num_key_value_heads": 4, "/text_config/head_dim": 16}
    add(
        "text model_type qwen2 without biases",
        ("model.safetensors", "q_proj.bias"),
        config=qwen | {KIND: "qwen2"},
    )
    add(
        "text model_type qwen3 without norms",
        ("model.safetensors", "q_norm.weight"),
        config=qwen | {KIND: "qwen3"},
    )
