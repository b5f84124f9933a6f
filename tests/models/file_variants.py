"""Variants of all files other than config.json and the weights."""

import functools
from collections.abc import Sequence

from variant_parts import FIFTH, THIRD, Add, Removed


def error_words(*words: str) -> tuple[str, ...]:
    """What an error must contain."""
    return words


def generation_variants(add: Add) -> None:
    eos = "/eos_token_id"
    says = functools.partial(error_words, "generation_config.json")
    add("eos_token_id", generation={eos: FIFTH})
    add("eos_token_id a list", generation={eos: [2, FIFTH, THIRD]})
    add("eos_token_id in part beyond the vocabulary", generation={eos: [-1, 32000, FIFTH]})
    for value in (None, [], 32000, "2", 2.5, [[2]]):
        add(f"eos_token_id {value!r}", says("eos_token_id"), generation={eos: value})
    add("no eos_token_id", says("eos_token_id"), generation={eos: Removed})
    add("eos_token_id of config.json does not count", config={"/text_config/eos_token_id": FIFTH, eos: FIFTH})
    add("no generation_config.json", generation=None, config={"/text_config/eos_token_id": FIFTH})
    add("no generation_config.json, eos at the top", generation=None, config={eos: FIFTH})
    add(
        "no generation_config.json, eos at the top null",
        generation=None,
        config={eos: None, f"/text_config{eos}": THIRD},
    )
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
    add(
        "repetition_penalty in config.json, which counts",
        ("config.json", "repetition_penalty"),
        config=penalty,
        generation=None,
    )
    add(
        "no_repeat_ngram_size in text_config, which counts",
        ("config.json", "text_config.no_repeat_ngram_size"),
        config={"/text_config/no_repeat_ngram_size": 2},
        generation=None,
    )


def image_processor_variants(add: Add) -> None:
    says = functools.partial(error_words, "preprocessor_config.json")

    def pictures(name: str, words: Sequence[str] = (), **fields: object) -> None:
        add(f"pictures: {name}", says(*words) if words else (), preprocessor={f"/{k}": v for k, v in fields.items()})

    for kind in (
        "CLIPImageProcessorFast",
        "CLIPImageProcessorPil",
        "LlavaImageProcessor",
        "LlavaImageProcessorFast",
        "BitImageProcessor",
    ):
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
    for value in (
        {"longest_edge": 28},
        {"shortest_edge": 28, "longest_edge": 60},
        {"height": 28},
        {},
        "28",
        0,
        28.5,
        [28],
    ):
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
    pictures("Lanczos", resample=1)
    for value in (0, 4, 5, 6, "bicubic", 3.5):
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
    add(
        "pictures: sizes may differ for DINOv2",
        says("do_center_crop"),
        spec="dinov2_gqa",
        preprocessor={"/do_center_crop": False},
    )

    add("no preprocessor_config.json", ("preprocessor_config.json", "processor_config.json"), preprocessor=None)
    add("preprocessor_config.json is empty", says(), preprocessor="")
    add("preprocessor_config.json has a byte order mark", says("byte order mark"), preprocessor="\ufeff{}")
    nested = {"image_processor_type": "CLIPImageProcessor", "size": both, "crop_size": both}
    add("nested image processor", preprocessor=None, processor={"/image_processor": nested})
    add("nested image processor comes first", preprocessor={"/size": "wrong"}, processor={"/image_processor": nested})
    add("nested image processor null", processor={"/image_processor": None})
    add(
        "nested image processor a string",
        ("processor_config.json", "image_processor"),
        processor={"/image_processor": "CLIP"},
    )
    add(
        "nested image processor of wrong size",
        ("processor_config.json", "image_processor.size"),
        processor={"/image_processor": {**nested, "size": "28"}},
    )


def processor_variants(add: Add) -> None:
    says = functools.partial(error_words, "processor_config.json")
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
        add(
            f"processor: {strategy} {getattr(value, '__name__', value)}",
            says(strategy),
            processor={f"/{strategy}": value},
        )
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
    add(
        "template in tokenizer_config.json",
        instead="template in processor_config.json",
        template=None,
        tokenizer_config=in_tokenizer,
    )
    add("template in chat_template.jinja comes before tokenizer_config.json", tokenizer_config=in_tokenizer)
    add("no template", "chat template", template=None)
    add("template without a place for the picture", "chat template", template="Hello")
