"""The variants of the tiny model directories.

A variant changes files of a base directory. `says`: words of the message with which the server has to refuse it; without
them it has to serve it and to generate what transformers does. `instead`: transformers refuses, and the server generates
what the variant of that name does. What transformers does with each is found out by make_variants.py.
"""

import json

from tiny_model import load_spec

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


class Removed:
    """In place of a value: the field is not there."""


def patch(changes):
    """{"/path": value} as JSON Patch."""
    return [
        {"op": "remove", "path": path} if value is Removed else {"op": "add", "path": path, "value": value}
        for path, value in changes.items()
    ]


def variants():
    """[{"name", "spec", "files", "weights", ..}]"""
    found = {}

    def add(name, says=(), *, spec="clip_mha", instead=None, weights=None, hub_cache=False, **files):
        names = {
            "config": "config.json",
            "generation": "generation_config.json",
            "preprocessor": "preprocessor_config.json",
            "processor": "processor_config.json",
            "tokenizer": "tokenizer.json",
            "tokenizer_config": "tokenizer_config.json",
            "template": "chat_template.jinja",
            "template_json": "chat_template.json",
            "adapter": "adapter_config.json",
            "index": INDEX,
            "safetensors": "model.safetensors",
            "gguf": "model-q4.gguf",
        }
        changes = {}
        for key, change in files.items():
            is_patch = isinstance(change, dict) and all(path.startswith("/") for path in change)
            changes[names[key]] = patch(change) if is_patch else change
        assert name not in found, name
        variant = {"name": name, "spec": spec, "files": changes}
        variant |= {"weights": weights} if weights else {}
        variant |= {"hub_cache": True} if hub_cache else {}
        variant |= {"says": [says] if isinstance(says, str) else list(says)} if says else {}
        variant |= {"instead": instead} if instead else {}
        found[name] = variant

    config_variants(add)
    text_config_variants(add)
    rope_variants(add)
    vision_variants(add)
    generation_variants(add)
    image_processor_variants(add)
    processor_variants(add)
    weight_variants(add)
    return list(found.values())


def config_variants(add):
    says = lambda *words: ("config.json", *words)
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
    add("model_type llava_next", says("model_type", "llava_next"), config={"/model_type": "llava_next"})
    add("model_type qwen2_vl", says("model_type", "qwen2_vl"), config={"/model_type": "qwen2_vl"})
    add("model_type llama", says("model_type", "llama"), config={"/model_type": "llama"})
    add("model_type llava_llama", says("model_type", "llava_llama"), config={"/model_type": "llava_llama"})

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


def text_config_variants(add):
    text = lambda field, value: {f"/text_config/{field}": value}
    says = lambda *words: ("config.json", *words)

    add("text model_type mistral", says("text_config.model_type", "mistral"), config=text("model_type", "mistral"))
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
    add("hidden_size of another model", ("model.safetensors", "shape", "config.json needs [128]"), config=text("hidden_size", 128))
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
    add("use_cache, pretraining_tp, dropout", config=text("use_cache", False) | text("pretraining_tp", 2) | text("attention_dropout", 0.1))
    add(
        "of equal keys the last counts",
        config='{"model_type": "llava", "vision_feature_layer": 9, "image_token_index": 159, "vision_feature_layer": -2,'
        ' "text_config": {"hidden_size": 1}, "text_config": {"hidden_size": 64, "intermediate_size": 96, "vocab_size": 160,'
        ' "num_attention_heads": 4, "num_hidden_layers": 4, "rms_norm_eps": 1e-5}, "vision_config": {"hidden_size": 32,'
        ' "image_size": 28, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 3, "patch_size": 7}}',
    )


def rope_variants(add):
    says = lambda *words: ("config.json", *words)

    def rope(name, words=(), **fields):
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
    rope("dynamic", ["rope_scaling.type", "dynamic"], rope_scaling={"type": "dynamic", "factor": 2.0})
    rope("yarn", ["rope_scaling.rope_type", "yarn"], rope_scaling={"rope_type": "yarn", "factor": 2.0})
    short = {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8, "original_max_position_embeddings": 64}
    rope("longrope", ["rope_scaling.type", "longrope"], rope_scaling={"type": "longrope", **short})
    rope("unknown", ["rope_scaling.type", "fancy"], rope_scaling={"type": "fancy"})
    rope("scaling a string", ["rope_scaling"], rope_scaling="linear")
    rope("llama3", rope_scaling=LLAMA3)
    without = lambda key: {k: v for k, v in LLAMA3.items() if k != key}
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


def vision_variants(add):
    vision = lambda field, value: {f"/vision_config/{field}": value}
    says = lambda *words: ("config.json", *words)

    add("no vision_config", ("size", "28x28", "vision_config.image_size is 336"), config={"/vision_config": Removed})
    add("vision_config null", ("size", "28x28", "vision_config.image_size is 336"), config={"/vision_config": None})
    add("vision_config empty", ("size", "28x28", "vision_config.patch_size is 32"), config={"/vision_config": {}})
    add("vision_config a string", says("vision_config"), config={"/vision_config": "clip"})
    add("no vision model_type", config=vision("model_type", Removed))
    siglip = vision("model_type", "siglip_vision_model")
    add("siglip", says("vision_config.model_type", "siglip_vision_model"), config=siglip)
    add("vision hidden_act gelu", config=vision("hidden_act", "gelu"))
    add("no vision hidden_act", config=vision("hidden_act", Removed))
    add("vision hidden_act gelu_pytorch_tanh", says("hidden_act"), config=vision("hidden_act", "gelu_pytorch_tanh"))
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
    add("patch_size of another tower", ("patch_embedding", "shape"), config=vision("patch_size", 14))
    add("patch_size that does not divide", ("size", "28x28", "patch_size is 9"), config=vision("patch_size", 9))
    add("image_size a list", says("vision_config.image_size"), config=vision("image_size", [28, 28]))
    add("num_channels 1", says("num_channels"), config=vision("num_channels", 1))
    add(
        "last hidden state of the tower normed",
        says("tie_last_hidden_states"),
        config=vision("tie_last_hidden_states", True) | {"/vision_feature_layer": -1},
    )
    dinov2 = lambda name, words=(), **fields: add(
        f"dinov2: {name}", words, spec="dinov2_gqa", config={f"/vision_config/{k}": v for k, v in fields.items()}
    )
    dinov2("mlp_ratio of another tower", ("fc1", "shape"), mlp_ratio=4)
    dinov2("mlp_ratio not an integer", says("mlp_ratio"), mlp_ratio=2.0)
    dinov2("swiglu", says("use_swiglu_ffn"), use_swiglu_ffn=True)
    dinov2("no qkv_bias", says("qkv_bias"), qkv_bias=False)
    dinov2("image_size of another grid", ("position_embeddings", "shape"), image_size=42)
    dinov2("heads that do not divide", says("hidden_size"), num_attention_heads=5)
    resized = lambda size: {"/crop_size": {"height": size, "width": size}, "/size": {"shortest_edge": size}}
    add("dinov2: its own size", spec="dinov2_gqa", preprocessor=resized(70))
    add("dinov2: pictures that patches do not fill", ("size", "patch_size"), spec="dinov2_gqa", preprocessor=resized(45))


def generation_variants(add):
    eos = "/eos_token_id"
    says = lambda *words: ("generation_config.json", *words)
    add("eos_token_id", generation={eos: FIFTH})
    add("eos_token_id a list", generation={eos: [2, FIFTH, THIRD]})
    add("eos_token_id in part beyond the vocabulary", generation={eos: [-1, 32000, FIFTH]})
    for value in (None, [], 32000, "2", 2.5, [[2]]):
        add(f"eos_token_id {value!r}", says("eos_token_id"), generation={eos: value})
    add("no eos_token_id", says("eos_token_id"), generation={eos: Removed})
    add("eos_token_id of config.json does not count", config={"/text_config/eos_token_id": FIFTH, eos: FIFTH})
    add("no generation_config.json", generation=None, config={"/text_config/eos_token_id": FIFTH})
    add("no generation_config.json, eos at the top", generation=None, config={eos: FIFTH})
    add("no generation_config.json, eos at the top null", generation=None, config={eos: None, f"/text_config{eos}": THIRD})
    add(
        "no generation_config.json, no eos",
        ("config.json", "eos_token_id"),
        generation=None,
        config={"/text_config/eos_token_id": Removed},
    )
    add("generation_config.json is empty", says(), generation="")
    add("generation_config.json is a list", says(), generation="[]")

    add("sampling", generation={"/do_sample": True, "/temperature": 0.6, "/top_p": 0.9, "/top_k": 5, "/min_p": 0.1})
    add("lengths", generation={"/max_length": 4096, "/max_new_tokens": 3, "/length_penalty": 2.0})
    neutral = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "min_length": 0, "num_beams": 1}
    add("settings that change nothing", generation={f"/{k}": v for k, v in neutral.items()})
    add("settings that are null", generation={f"/{k}": None for k in [*neutral, "suppress_tokens", "temperature"]})
    for key, value in {
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "encoder_repetition_penalty": 1.3,
        "bad_words_ids": [[143]],
        "suppress_tokens": [143],
        "begin_suppress_tokens": [143],
        "sequence_bias": [[[143], -10.0]],
        "num_beams": 2,
        "num_return_sequences": 2,
        "guidance_scale": 1.5,
        "watermarking_config": {"greenlist_ratio": 0.5, "bias": 4.0},
        "stop_strings": ["a"],
        "forced_eos_token_id": 2,
    }.items():
        add(key, says(key), generation={f"/{key}": value})
    add("min_new_tokens", says("min_new_tokens"), generation={"/min_new_tokens": 8, eos: THIRD})
    add(
        "exponential_decay_length_penalty",
        says("exponential_decay_length_penalty"),
        generation={"/exponential_decay_length_penalty": [2, 1.5]},
    )
    penalty = {"/repetition_penalty": 1.3}
    add("repetition_penalty in config.json, which does not count", config=penalty)
    add("repetition_penalty in config.json, which counts", ("config.json", "repetition_penalty"), config=penalty, generation=None)
    add(
        "no_repeat_ngram_size in text_config, which counts",
        ("config.json", "text_config.no_repeat_ngram_size"),
        config={"/text_config/no_repeat_ngram_size": 2},
        generation=None,
    )


def image_processor_variants(add):
    says = lambda *words: ("preprocessor_config.json", *words)

    def pictures(name, words=(), **fields):
        add(f"pictures: {name}", says(*words) if words else (), preprocessor={f"/{k}": v for k, v in fields.items()})

    for kind in ("CLIPImageProcessorFast", "CLIPImageProcessorPil", "LlavaImageProcessor", "LlavaImageProcessorFast", "BitImageProcessor"):
        pictures(kind, image_processor_type=kind)
    pictures("no type", image_processor_type=Removed)
    pictures("a feature extractor", image_processor_type=Removed, feature_extractor_type="CLIPFeatureExtractor")
    for kind in ("SiglipImageProcessor", "ViTImageProcessor", "FooImageProcessor", 3):
        pictures(f"type {kind!r}", ["image_processor_type"], image_processor_type=kind)
    pictures("use_fast, unknown fields", use_fast=False, do_reduce_labels=True, foo=None)

    both = {"height": 28, "width": 28}
    pictures("size an integer", size=28)
    pictures("size an integer, square", size=28, default_to_square=True)
    pictures("size and crop", size={"shortest_edge": 40})
    pictures("size of both edges", size={"height": 28, "width": 36})
    pictures("size a list", size=[28, 36])
    pictures("no size", size=Removed)
    for key in ("do_pad", "default_to_square", "do_resize", "do_rescale", "do_normalize", "image_processor_type"):
        pictures(f"{key} null", **{key: None})
    for key in ("size", "resample", "crop_size", "do_center_crop", "rescale_factor", "image_mean", "image_std"):
        pictures(f"{key} null", [key], **{key: None})
    for value in ({"longest_edge": 28}, {"shortest_edge": 28, "longest_edge": 60}, {"height": 28}, {}, "28", 0, 28.5, [28]):
        pictures(f"size {value!r}", ["size"], size=value)
    pictures("size too large", ["size"], size={"shortest_edge": 10**9})
    pictures("crop_size an integer", crop_size=28)
    pictures("crop_size a list", crop_size=[28, 28])
    pictures("no crop, both edges", do_center_crop=False, size=both)
    pictures("no crop, different sizes", ["do_center_crop"], do_center_crop=False)
    pictures("no crop, no resize", ["do_center_crop"], do_center_crop=False, do_resize=False)
    for value in ({"shortest_edge": 28}, {"height": 28}, "28", 10**30, [28, 0]):
        pictures(f"crop_size {value!r}", ["crop_size"], crop_size=value)
    add("pictures: no crop_size", ("crop_size", "224x224", "28"), preprocessor={"/crop_size": Removed})
    add("pictures: crop_size of another tower", ("crop_size", "35x35", "28"), preprocessor={"/crop_size": 35})
    pictures("crop larger than the picture", size={"shortest_edge": 19})
    pictures("no resize", do_resize=False)
    pictures("no rescale", do_rescale=False)
    pictures("no normalize", do_normalize=False)
    pictures("neither", do_rescale=False, do_normalize=False)
    pictures("rescale_factor", rescale_factor=1 / 127.5)
    pictures("rescale_factor an integer", rescale_factor=1)
    for value in (0, -1.0, "1/255"):
        pictures(f"rescale_factor {value!r}", ["rescale_factor"], rescale_factor=value)
    pictures("mean and std", image_mean=[0.5, 0.4, 0.3], image_std=[0.5, 0.6, 0.7])
    pictures("mean and std of integers", image_mean=[0, 0, 0], image_std=[1, 1, 1])
    pictures("mean and std are numbers", image_mean=0.5, image_std=0.5)
    for value in ([0.5, 0.5], [0.5], "0.5", [0.5, 0.5, "0.5"]):
        pictures(f"image_mean {value!r}", ["image_mean"], image_mean=value)
    pictures("image_std 0", ["image_std"], image_std=[0.5, 0.5, 0.0])
    pictures("bilinear", resample=2)
    for value in (0, 1, 4, 5, 6, "bicubic", 3.5):
        pictures(f"resample {value!r}", ["resample"], resample=value)
    pictures("do_convert_rgb false", do_convert_rgb=False)
    pictures("CLIP with do_pad", do_pad=True)
    pictures("padded to a square", image_processor_type="LlavaImageProcessor", do_pad=True)
    pictures(
        "padded to a square, not cropped",
        image_processor_type="LlavaImageProcessor",
        do_pad=True,
        do_center_crop=False,
        image_mean=[0.1, 0.9, 0.5],
    )
    pictures("pad_size", ["pad_size"], do_pad=True, pad_size={"height": 35, "width": 35})
    pictures("do_resize a string", ["do_resize"], do_resize="yes")
    add("pictures: sizes may differ for DINOv2", says("do_center_crop"), spec="dinov2_gqa", preprocessor={"/do_center_crop": False})

    add("no preprocessor_config.json", ("preprocessor_config.json", "processor_config.json"), preprocessor=None)
    add("preprocessor_config.json is empty", says(), preprocessor="")
    add("preprocessor_config.json has a byte order mark", says("byte order mark"), preprocessor="\ufeff{}")
    nested = {"image_processor_type": "CLIPImageProcessor", "size": both, "crop_size": both}
    add("nested image processor", preprocessor=None, processor={"/image_processor": nested})
    add("nested image processor comes first", preprocessor={"/size": "wrong"}, processor={"/image_processor": nested})
    add("nested image processor null", processor={"/image_processor": None})
    add("nested image processor a string", ("processor_config.json", "image_processor"), processor={"/image_processor": "CLIP"})
    add(
        "nested image processor of wrong size",
        ("processor_config.json", "image_processor.size"),
        processor={"/image_processor": {**nested, "size": "28"}},
    )


def processor_variants(add):
    says = lambda *words: ("processor_config.json", *words)
    add("no processor_config.json", instead="base", processor=None)
    add("no patch_size", instead="base", processor={"/patch_size": Removed})
    add("patch_size null", instead="base", processor={"/patch_size": None})
    add("processor: patch_size of another tower", says("patch_size", "config.json"), processor={"/patch_size": 14})
    add("processor: patch_size a string", says("patch_size"), processor={"/patch_size": "7"})
    extra = "num_additional_image_tokens"
    for value in (0, 2, Removed):
        add(f"processor: {extra} {getattr(value, '__name__', value)}", says(extra), processor={f"/{extra}": value})
    strategy = "vision_feature_select_strategy"
    for value in ("full", None, Removed):
        add(f"processor: {strategy} {getattr(value, '__name__', value)}", says(strategy), processor={f"/{strategy}": value})
    add("processor: image_token", processor={"/image_token": "<image>"})
    add("processor: image_token of another token", says("image_token"), processor={"/image_token": "<|im_end|>"})
    add("processor: image_token unknown", says("image_token"), processor={"/image_token": "<img>"})
    add("no processor_class", processor={"/processor_class": Removed})
    add("processor_class of another model", says("processor_class"), processor={"/processor_class": "CLIPProcessor"})
    add("processor_class in preprocessor_config.json", preprocessor={"/processor_class": "CLIPProcessor"})
    add(
        "processor_class in preprocessor_config.json, which counts",
        ("preprocessor_config.json", "processor_class"),
        preprocessor={"/processor_class": "CLIPProcessor"},
        processor={"/processor_class": Removed},
    )
    add("processor_config.json is a list", says("not a JSON object"), processor="[]")

    add("no tokenizer.json", "tokenizer.json", tokenizer=None)
    add("tokenizer.json is empty", "tokenizer.json", tokenizer="")
    add("no tokenizer_config.json", tokenizer_config=None)
    add("tokenizer_config.json is empty", "tokenizer_config.json", tokenizer_config="")
    add("model_max_length 4", tokenizer_config={"/model_max_length": 4})
    add("image token named by the tokenizer", tokenizer_config={"/image_token": "<image>"})
    add(
        "another image token named by the tokenizer",
        ("image_token", "tokenizer_config.json"),
        tokenizer_config={"/image_token": "<|im_end|>"},
    )
    add("BOS added by the tokenizer", tokenizer_config={"/add_bos_token": True})

    hello = "Hello {% for m in messages %}{% for p in m.content if p.type == 'image' %}<image>{% endfor %}{% endfor %}"
    add("template in processor_config.json", processor={"/chat_template": hello})
    add("template in chat_template.json", template_json='{"chat_template": "' + hello + '"}')
    in_tokenizer = {"/chat_template": hello}
    add("template in tokenizer_config.json", instead="template in processor_config.json", template=None, tokenizer_config=in_tokenizer)
    add("template in chat_template.jinja comes before tokenizer_config.json", tokenizer_config=in_tokenizer)
    add("no template", "chat template", template=None)
    add("template without a place for the picture", "chat template", template="Hello")


def weight_variants(add):
    weights = "model.safetensors"
    add("files are links into the hub's cache", hub_cache=True)
    add("shards, links into the hub's cache", hub_cache=True, weights={"shards": 3})
    add("weights are a dead link", (weights, "symbolic link"), safetensors={"link": "../../blobs/gone"})
    add("tokenizer is a dead link", ("tokenizer.json", "symbolic link"), tokenizer={"link": "../../blobs/gone"})
    for dtype in ("F16", "BF16", "F64"):
        add(f"weights in {dtype}", weights={"dtype": dtype})
    add("weights in F16, no dtype in config.json", weights={"dtype": "F16"}, config={"/text_config/torch_dtype": "float32"})
    add("weights are not safetensors", weights, safetensors="no safetensors at all")

    shards = {"shards": 2}
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    entry = f"/weight_map/{NORM}"
    add("shards", weights=shards)
    add("index names a shard that is missing", (INDEX, "gone.safetensors"), weights=shards, index={entry: "gone.safetensors"})
    add("index leads out of the directory", (INDEX, NORM, "../main/"), weights=shards, index={entry: f"../main/{first}"})
    add("index names a folder", (INDEX, NORM, "sub/"), weights=shards, index={entry: f"sub/{first}"})
    add("index is not a string", (INDEX, NORM), weights=shards, index={entry: 1})
    add("index has a tensor in the wrong shard", weights=shards, index={entry: first, f"/weight_map/{HEAD}": second})
    add("index lacks a tensor", weights=shards, index={entry: Removed})
    add("index names a tensor that no shard has", weights=shards, index={"/weight_map/foo": first})
    add("index without weight_map", (INDEX, "weight_map"), weights=shards, index={"/weight_map": Removed})
    add("index is a list", (INDEX,), weights=shards, index="[]")
    add("single file and a broken index", index="[]")
    add("a shard without an index", (INDEX,), weights=shards, index=None)

    add("extra tensors", weights={"add": [{"name": "language_model.model.rotary_emb.inv_freq", "shape": [8]}, {"name": "foo", "shape": [2], "dtype": "I8"}]})
    add("a tensor under both names", (weights, "twice", HEAD), weights={"copy": {"lm_head.weight": HEAD}})
    add("a tensor is missing", (weights, NORM.replace(".model", "")), weights={"drop": [NORM]})
    add("a tensor has another shape", (weights, NORM, "[65]", "[64]"), weights={"drop": [NORM], "add": [{"name": NORM, "shape": [65]}]})
    int8 = {"name": f"{Q_PROJ}.weight", "shape": [64, 64], "dtype": "I8"}
    add("int8 weights", (weights, Q_PROJ, "I8", "quantized"), weights={"drop": [f"{Q_PROJ}.weight"], "add": [int8]})
    add("GPTQ weights", (weights, f"{Q_PROJ}.qweight", "quantized"), weights={"rename": {f"{Q_PROJ}.weight": f"{Q_PROJ}.qweight"}})
    add("weights of PyTorch", "pytorch_model.bin", weights={"format": "bin"})
    add("GGUF", "model-q4.gguf", safetensors=None, gguf="GGUF")
    add("no weights", weights, safetensors=None)
    add("an adapter beside the model", "adapter_config.json", adapter='{"peft_type": "LORA", "base_model_name_or_path": "x"}')
