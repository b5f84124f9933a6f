"""Variants of Idefics3 and SmolVLM: shapes of pictures, conversations, and what is refused."""

from variant_parts import (
    Add,
    Removed,
    number_of_tokens,
    other_processors,
    picture_last,
    pictures_and_conversations,
    says,
)

SPEC = "idefics3"
PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"


def smolvlm_variants(add: Add) -> None:
    for spec in ("idefics3", "smolvlm"):
        pictures_and_conversations(add, spec, "What do you see here?")
        picture_last(add, spec)
    config(add)
    image_processor(add)
    processor(add)
    weights(add)


def config(add: Add) -> None:
    def field(path: str, value: object, *words: str) -> None:
        name = f"{SPEC} {path.strip('/')} {'missing' if value is Removed else value}"
        add(name, says(*words) if words else (), spec=SPEC, config={path: value})

    field("/text_config/model_type", Removed)
    field("/text_config/model_type", "phi3", "text_config.model_type")
    field("/text_config/use_resampler", True, "text_config.use_resampler")
    field("/text_config/qk_layer_norms", True, "text_config.qk_layer_norms")
    field("/text_config/quantization_config", {"quant_method": "awq"}, "text_config.quantization_config")
    field("/vision_config/model_type", "idefics3_vision")
    field("/vision_config/model_type", Removed)
    field("/vision_config/model_type", "clip_vision_model", "vision_config.model_type")
    field("/vision_config/hidden_act", "gelu")
    field("/vision_config/hidden_act", "relu", "vision_config.hidden_act", "relu")
    field("/vision_config/layer_norm_eps", 0.01)
    field("/vision_config/num_hidden_layers", 2)
    field("/vision_config/quantization_config", {"quant_method": "awq"}, "vision_config.quantization_config")
    field("/image_token_id", 160, "image_token_id", "160")
    field("/image_token_id", Removed, "image_token_id", "128257")
    field("/model_type", "idefics2", "model_type", "idefics2")
    add(
        f"{SPEC} another image token",
        ("tokenizer.json", "<image>", "158"),
        spec=SPEC,
        config={"/image_token_id": 158},
    )
    add(
        f"{SPEC} another scale factor",
        (PREPROCESSOR, "max_image_size.longest_edge is 32", "8 patches", "3 x 3 patches"),
        spec=SPEC,
        config={"/scale_factor": 3},
    )


def image_processor(add: Add) -> None:
    def files(name: str, changes: dict, *words: str) -> None:
        add(f"{SPEC} {name}", (PREPROCESSOR, *words) if words else (), spec=SPEC, preprocessor=changes)

    files("one tile", {"/size": {"longest_edge": 32}})
    files("less than a tile", {"/size": {"longest_edge": 20}})
    files("odd edge", {"/size": {"longest_edge": 63}})
    files("not split", {"/do_image_splitting": False})
    files("not split by null", {"/do_image_splitting": None})
    files("not padded", {"/do_pad": False})
    files("bicubic", {"/resample": 3})
    files("Lanczos by default", {"/resample": Removed})
    files("default means", {"/image_mean": Removed, "/image_std": Removed})
    files("SmolVLM's image processor", {"/image_processor_type": "SmolVLMImageProcessorFast"})
    files("height and width", {"/size": {"height": 64, "width": 64}}, "size", "longest_edge")
    files("not resized", {"/do_resize": False}, "do_resize")
    other_processors(add, SPEC)
    add(
        f"{SPEC} tiles smaller than the tower's",
        spec=SPEC,
        preprocessor={"/max_image_size": {"longest_edge": 18}, "/size": {"longest_edge": 36}},
        processor={"/image_seq_len": 1},
    )
    add(
        f"{SPEC} tiles larger than the tower's",
        spec=SPEC,
        preprocessor={"/max_image_size": {"longest_edge": 48}, "/size": {"longest_edge": 96}},
        processor={"/image_seq_len": 9},
    )


def processor(add: Add) -> None:
    number_of_tokens(add, SPEC, "image_seq_len", 16, 4, usual=169)
    add(
        f"{SPEC} no token around images",
        ("tokenizer.json", "has no token <fake_token_around_image>"),
        spec=SPEC,
        tokenizer={"/added_tokens/3/content": "<around>"},
    )
    add(
        "smolvlm another name around images",
        ("tokenizer_config.json", "fake_image_token"),
        spec="smolvlm",
        tokenizer_config={"/fake_image_token": "<end_of_utterance>"},
    )


def weights(add: Add) -> None:
    embeddings, head = "model.text_model.embed_tokens.weight", "lm_head.weight"
    add(f"{SPEC} shards", spec=SPEC, weights={"shards": 3})
    add(f"{SPEC} tied", spec=SPEC, config={"/tie_word_embeddings": True}, weights={"drop": [head]})
    add(
        f"{SPEC} tied in the decoder only",
        spec=SPEC,
        config={"/text_config/tie_word_embeddings": True},
    )
    other_head = {"add": [{"name": head, "shape": [160, 80]}]}
    add("smolvlm tied, another lm_head", spec="smolvlm", weights=other_head)
    add("smolvlm tied, lm_head only", spec="smolvlm", weights={"rename": {embeddings: head}})
    for name, word in (
        (head, head),
        ("model.connector.modality_projection.proj.weight", "multi_modal_projector.linear_1.weight"),
        ("model.vision_model.post_layernorm.bias", "post_layernorm.bias"),
        ("model.vision_model.embeddings.position_embedding.weight", "position_embedding.weight"),
    ):
        add(f"{SPEC} without {name}", ("model.safetensors", word), spec=SPEC, weights={"drop": [name]})
