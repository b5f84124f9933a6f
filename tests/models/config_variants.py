"""Variants of config.json: the model, its decoder, its vision tower."""

import json
from collections.abc import Sequence

from decoder_variants import decoder_variants
from tiny_model import load_spec
from variant_parts import BIASES, EMBEDDINGS, HEAD, LINEAR, LLAMA3, Add, Removed, says


def config_variants(add: Add) -> None:
    add("base")
    for spec in ("clip_gqa", "dinov2_gqa", "llama3_rope"):
        add(f"spec {spec}", spec=spec)

    add("no config.json", says(), config=None)
    add("config.json is empty", says(), config="")
    add("config.json is a list", says("not a JSON object"), config="[]")
    add("config.json has a byte order mark", says("byte order mark"), config='\ufeff{"model_type": "llava"}')
    add("config.json has comments", says("line 1"), config='{"model_type": "llava" /* a comment */}')
    add("config.json has a trailing comma", says("line 1"), config='{"model_type": "llava",}')
    add("config.json is nested deeply", says("nested"), config='{"model_type": ' + "[" * 5000 + "]" * 5000 + "}")
    nan = load_spec("clip_mha")["config"]
    nan["text_config"]["rms_norm_eps"] = float("nan")
    add("NaN", says("line 1"), config=json.dumps(nan))
    add("unknown fields", config={"/foo": [1], "/text_config/bar": None, "/vision_config/baz": {}})
    add("other architectures", config={"/architectures": ["LlavaLlamaForCausalLM"]})
    add("no architectures", config={"/architectures": Removed})
    add("custom code named", config={"/auto_map": {"AutoConfig": "configuration_llava.LlavaConfig"}})

    add("no model_type", says("model_type"), config={"/model_type": Removed})
    add("model_type null", says("model_type"), config={"/model_type": None})
    add("model_type llava_next_video", says("model_type"), config={"/model_type": "llava_next_video"})
    add("model_type mllama", says("model_type", "mllama"), config={"/model_type": "mllama"})
    add("model_type llama", says("model_type", "llama"), config={"/model_type": "llama"})
    add(
        "model_type llava_llama",
        says("model_type", "llava_llama", "./dev convert"),
        config={"/model_type": "llava_llama"},
    )

    layer = "vision_feature_layer"
    for value in (-1, 1, 3, -4, [-2], [0]):
        add(f"{layer} {value}", config={f"/{layer}": value})
    add(f"{layer} 0", instead=f"{layer} [0]", config={f"/{layer}": 0})
    add(f"no {layer}", config={f"/{layer}": Removed})
    for value in (4, -5, [], "last", 1.5, None, True, 2**64 - 1, [[-2]]):
        add(f"{layer} {value}", says(layer), config={f"/{layer}": value})

    strategy = "vision_feature_select_strategy"
    add(f"{strategy} full", config={f"/{strategy}": "full"}, processor={f"/{strategy}": "full"})
    add(f"no {strategy}", config={f"/{strategy}": Removed})
    for value in ("cls", None, 1):
        add(f"{strategy} {value}", says(strategy), config={f"/{strategy}": value})

    add("projector_hidden_act relu", says("projector_hidden_act", "relu"), config={"/projector_hidden_act": "relu"})
    add("projector_hidden_act null", says("projector_hidden_act"), config={"/projector_hidden_act": None})
    bias = {"/multimodal_projector_bias": False}
    add("projector without biases", config=bias, weights={"drop": BIASES})
    add("projector without biases, which are stored", config=bias)
    add("projector with biases that are missing", ("model.safetensors", BIASES[0]), weights={"drop": BIASES})

    index, token_id = "/image_token_index", "/image_token_id"
    add("image_token_id", config={index: Removed, token_id: 159})
    add("image_token_id overrides image_token_index", config={index: 158, token_id: 159})
    for name, change in {
        "image_token_id overrides image_token_index wrongly": {index: 159, token_id: 158},
        "image_token_index of another token": {index: 158},
        "no image_token_index": {index: Removed},
        "image_token_index beyond the vocabulary": {index: 160},
        "image_token_index negative": {index: -1},
        "image_token_index a string": {index: "159"},
        "image_token_index null": {index: None},
    }.items():
        add(name, says("image_token"), config=change)
    add("image_seq_length of another tower", config={"/image_seq_length": 576})
    add("top-level vocab_size and pad_token_id", config={"/vocab_size": 32064, "/pad_token_id": 32001})

    add("quantization_config", says("quantization_config"), config={"/quantization_config": {"quant_method": "awq"}})
    add(
        "quantization_config in text_config",
        says("text_config.quantization_config"),
        config={"/text_config/quantization_config": {"quant_method": "gptq", "bits": 4}},
    )
    add("quantization_config null", config={"/quantization_config": None})
    for key in ("dtype", "torch_dtype"):
        for value in ("float16", "bfloat16", None):
            add(f"{key} {value}", config={f"/{key}": value})
        for value in ("float64", "float4", "torch.float16", 16):
            add(f"{key} {value}", says(key), config={f"/{key}": value})
    add("dtype of the decoder unknown", says("text_config.dtype"), config={"/text_config/dtype": "foo"})
    add("transformers_weights", says("transformers_weights"), config={"/transformers_weights": "model.safetensors"})


def text_config_variants(add: Add) -> None:
    def text(field: str, value: object) -> dict[str, object]:
        return {f"/text_config/{field}": value}

    decoder_variants(add)
    add("no text model_type", config=text("model_type", Removed))
    add("text_config is a list", says("text_config"), config={"/text_config": []})

    top, inner = "/tie_word_embeddings", "/text_config/tie_word_embeddings"
    no_head = {"drop": [HEAD]}
    add("tied in text_config only", config={inner: True}, weights=no_head)
    add("tied at the top only", config={top: True}, weights=no_head)
    add("tied in text_config, not at the top", config={top: False, inner: True}, weights=no_head)
    add("tied, not so in text_config", config={top: True, inner: False}, weights=no_head)
    add("tied, both stored and different", config={top: True})
    add("tied, both stored and equal", config={top: True}, weights={"drop": [HEAD], "copy": {HEAD: EMBEDDINGS}})
    add("tied, only the output layer stored", config={top: True}, weights={"drop": [EMBEDDINGS]})
    add("not tied, no output layer", ("lm_head.weight", "tie_word_embeddings"), weights=no_head)
    add("tie_word_embeddings null", says("tie_word_embeddings"), config={top: None})
    add("tie_word_embeddings a string", says("text_config.tie_word_embeddings"), config={inner: "yes"})

    add("fewer decoder layers than stored", config=text("num_hidden_layers", 3))
    add(
        "more decoder layers than stored",
        ("model.safetensors", "layer 4", "text_config.num_hidden_layers"),
        config=text("num_hidden_layers", 5),
    )
    add("num_key_value_heads null", config=text("num_key_value_heads", None))
    add("num_key_value_heads 3", says("num_key_value_heads"), config=text("num_key_value_heads", 3))
    add("num_key_value_heads of another model", ("k_proj", "shape"), config=text("num_key_value_heads", 2))
    add("head_dim 16", config=text("head_dim", 16))
    add("head_dim null", config=text("head_dim", None))
    add("head_dim of another model", ("q_proj", "shape"), config=text("head_dim", 32))
    add("head_dim 12", says("head_dim"), config=text("head_dim", 12))
    add("hidden_size not a multiple of heads", says("hidden_size"), config=text("hidden_size", 66))
    add(
        "hidden_size of another model",
        ("model.safetensors", "shape", "config.json needs [128]"),
        config=text("hidden_size", 128),
    )
    for value in (64.0, "64", True, None, 10**30, -64, [64]):
        add(f"hidden_size {value!r}", says("text_config.hidden_size"), config=text("hidden_size", value))
    add("num_attention_heads 0", says("num_attention_heads"), config=text("num_attention_heads", 0))
    add("vocab_size of another model", ("embed_tokens", "shape", "[161, 64]"), config=text("vocab_size", 161))
    add("intermediate_size of another model", ("gate_proj", "shape"), config=text("intermediate_size", 104))
    add("hidden_act gelu", says("text_config.hidden_act", "gelu"), config=text("hidden_act", "gelu"))
    add("no hidden_act", config=text("hidden_act", Removed))
    add("attention_bias", says("attention_bias"), config=text("attention_bias", True))
    add("mlp_bias", says("mlp_bias"), config=text("mlp_bias", True))
    add("rms_norm_eps 0.01", config=text("rms_norm_eps", 0.01))
    add("no rms_norm_eps", config=text("rms_norm_eps", Removed))
    for value in ("1e-5", None, True):
        add(f"rms_norm_eps {value!r}", says("rms_norm_eps"), config=text("rms_norm_eps", value))
    add("max_position_embeddings 4096", config=text("max_position_embeddings", 4096))
    add("no max_position_embeddings", config=text("max_position_embeddings", Removed))
    add("sliding_window 8", says("text_config.sliding_window"), config=text("sliding_window", 8))
    add("sliding_window beyond the context", config=text("sliding_window", 600))
    add("sliding_window null", config=text("sliding_window", None))
    add("attention_chunk_size 8", says("attention_chunk_size"), config=text("attention_chunk_size", 8))
    add("layer_types full", config=text("layer_types", ["full_attention"] * 4))
    add("layer_types too few", says("layer_types"), config=text("layer_types", ["full_attention"] * 3))
    add(
        "layer_types sliding",
        says("text_config."),
        config=text("layer_types", ["full_attention", "sliding_attention"] * 2) | text("sliding_window", 8),
    )
    add("per_layer_config", says("per_layer_config"), config=text("per_layer_config", {"1": {"hidden_act": "gelu"}}))
    add("pad_token_id -1", config=text("pad_token_id", -1))
    add("pad_token_id 159", config=text("pad_token_id", 159))
    add("pad_token_id beyond the vocabulary", says("text_config.pad_token_id"), config=text("pad_token_id", 32001))
    add(
        "use_cache, pretraining_tp, dropout",
        config=text("use_cache", False) | text("pretraining_tp", 2) | text("attention_dropout", 0.1),
    )
    add(
        "of equal keys the last counts",
        config='{"model_type": "llava", "vision_feature_layer": 9, "image_token_index": 159,'
        ' "vision_feature_layer": -2,'
        ' "text_config": {"hidden_size": 1}, "text_config": {"hidden_size": 64, "intermediate_size": 96,'
        ' "vocab_size": 160, "num_attention_heads": 4, "num_hidden_layers": 4, "rms_norm_eps": 1e-5},'
        ' "vision_config": {"hidden_size": 32, "image_size": 28, "intermediate_size": 64, "num_attention_heads": 2,'
        ' "num_hidden_layers": 3, "patch_size": 7}}',
    )


def rope_variants(add: Add) -> None:

    def rope(name: str, words: Sequence[str] = (), **fields: object) -> None:
        add(f"rope: {name}", says(*words) if words else (), config={f"/text_config/{k}": v for k, v in fields.items()})

    rope("theta", rope_theta=500000.0)
    rope("theta an integer", rope_theta=500000)
    rope("theta a string", ["rope_theta"], rope_theta="1e4")
    rope("theta null", ["rope_theta"], rope_theta=None)
    rope("scaling null", rope_scaling=None)
    rope("linear", rope_scaling=LINEAR)
    rope("linear, newer name of the type", rope_scaling={"rope_type": "linear", "factor": 2})
    rope("linear, both names", rope_scaling={**LINEAR, "type": "yarn", "rope_type": "linear"})
    rope("linear, less than 1", rope_scaling={**LINEAR, "factor": 0.5})
    rope("linear without factor", ["rope_scaling.factor"], rope_scaling={"type": "linear"})
    rope("linear, factor a string", ["rope_scaling.factor"], rope_scaling={**LINEAR, "factor": "2"})
    rope("linear, part of each head", ["partial_rotary_factor"], rope_scaling={**LINEAR, "partial_rotary_factor": 0.5})
    rope("default, part of each head", partial_rotary_factor=0.5)
    rope("default with a factor", rope_scaling={"rope_type": "default", "factor": 2.0})
    rope("dynamic", rope_scaling={"type": "dynamic", "factor": 2.0})
    rope("yarn", ["rope_scaling.rope_type", "yarn"], rope_scaling={"rope_type": "yarn", "factor": 2.0})
    short = {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8, "original_max_position_embeddings": 64}
    rope("longrope", ["rope_scaling.type", "longrope"], rope_scaling={"type": "longrope", **short})
    rope("unknown", ["rope_scaling.type", "fancy"], rope_scaling={"type": "fancy"})
    rope("scaling a string", ["rope_scaling"], rope_scaling="linear")
    rope("llama3", rope_scaling=LLAMA3)

    def without(key: str) -> dict[str, object]:
        return {k: v for k, v in LLAMA3.items() if k != key}

    rope("llama3, original context is the context", rope_scaling=without("original_max_position_embeddings"))
    rope("llama3, original context beside it", rope_scaling=LLAMA3, original_max_position_embeddings=16)
    rope("llama3 without low_freq_factor", ["low_freq_factor"], rope_scaling=without("low_freq_factor"))
    rope("llama3 without factor", ["rope_scaling.factor"], rope_scaling=without("factor"))
    rope("llama3, factors equal", ["high_freq_factor"], rope_scaling={**LLAMA3, "high_freq_factor": 1.0})
    rope("parameters", rope_parameters={"rope_type": "default", "rope_theta": 500000.0})
    rope("parameters override theta", rope_theta=7.0, rope_parameters={"rope_type": "default", "rope_theta": 500000.0})
    rope("parameters without theta", rope_theta=500000.0, rope_parameters={"rope_type": "default"})
    rope("scaling overrides parameters", rope_scaling=LINEAR, rope_parameters={"rope_type": "linear", "factor": 4.0})
    rope("empty scaling does not", rope_scaling={}, rope_parameters={"rope_type": "linear", "factor": 4.0})
    rope("parameters null", rope_parameters=None)
    rope(
        "by type of layer",
        layer_types=["full_attention"] * 4,
        rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 500000.0}},
    )


def vision_variants(add: Add) -> None:
    def vision(field: str, value: object) -> dict[str, object]:
        return {f"/vision_config/{field}": value}

    add("no vision_config", ("size", "28x28", "vision_config.image_size is 336"), config={"/vision_config": Removed})
    add("vision_config null", ("size", "28x28", "vision_config.image_size is 336"), config={"/vision_config": None})
    add("vision_config empty", ("size", "28x28", "vision_config.patch_size is 32"), config={"/vision_config": {}})
    add("vision_config a string", says("vision_config"), config={"/vision_config": "clip"})
    add("no vision model_type", config=vision("model_type", Removed))
    siglip = vision("model_type", "siglip_vision_model")
    add("siglip", says("vision_config.model_type", "siglip_vision_model"), config=siglip)
    add("vision hidden_act gelu", config=vision("hidden_act", "gelu"))
    add("no vision hidden_act", config=vision("hidden_act", Removed))
    add("vision hidden_act gelu_pytorch_tanh", config=vision("hidden_act", "gelu_pytorch_tanh"))
    add("vision hidden_act gelu_new", says("hidden_act", "gelu_new"), config=vision("hidden_act", "gelu_new"))
    add("layer_norm_eps", config=vision("layer_norm_eps", 0.01))
    add("no layer_norm_eps", config=vision("layer_norm_eps", Removed))
    add("more heads of the tower", config=vision("num_attention_heads", 4))
    add("heads of the tower that do not divide", says("hidden_size"), config=vision("num_attention_heads", 3))
    add("more layers of the tower than are needed", config=vision("num_hidden_layers", 4))
    add(
        "more layers of the tower than are stored",
        ("layer 3", "vision_config.num_hidden_layers"),
        config=vision("num_hidden_layers", 5),
    )
    add("fewer layers of the tower", config=vision("num_hidden_layers", 2))
    add("image_size of another tower", ("size", "28x28", "image_size is 35"), config=vision("image_size", 35))
    add("patch_size of another tower", ("patch_size is 7", "config.json"), config=vision("patch_size", 14))
    add("patch_size that does not divide", ("size", "28x28", "patch_size is 9"), config=vision("patch_size", 9))
    add("image_size a list", says("vision_config.image_size"), config=vision("image_size", [28, 28]))
    add("num_channels 1", says("num_channels"), config=vision("num_channels", 1))
    add(
        "last hidden state of the tower normed",
        says("tie_last_hidden_states"),
        config=vision("tie_last_hidden_states", True) | {"/vision_feature_layer": -1},
    )

    def dinov2(name: str, words: Sequence[str] = (), **fields: object) -> None:
        config = {f"/vision_config/{k}": v for k, v in fields.items()}
        add(f"dinov2: {name}", words, spec="dinov2_gqa", config=config)

    dinov2("mlp_ratio of another tower", ("fc1", "shape"), mlp_ratio=4)
    dinov2("mlp_ratio not an integer", says("mlp_ratio"), mlp_ratio=2.0)
    dinov2("swiglu", says("use_swiglu_ffn"), use_swiglu_ffn=True)
    dinov2("no qkv_bias", says("qkv_bias"), qkv_bias=False)
    dinov2("image_size of another grid", ("position_embeddings", "shape"), image_size=42)
    dinov2("heads that do not divide", says("hidden_size"), num_attention_heads=5)

    def resized(size: int) -> dict[str, dict[str, int]]:
        return {"/crop_size": {"height": size, "width": size}, "/size": {"shortest_edge": size}}

    add("dinov2: its own size", spec="dinov2_gqa", preprocessor=resized(70))
    add(
        "dinov2: pictures that patches do not fill",
        ("size", "patch_size"),
        spec="dinov2_gqa",
        preprocessor=resized(45),
    )
