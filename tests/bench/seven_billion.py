#!/usr/bin/env python3
"""A LLaVA-1.5-7B directory in bfloat16 with random weights: 14 GB, a minute. usage: seven_billion.py TOKENIZER_DIR OUT

Tokenizer, chat template and the size of the vocabulary come from TOKENIZER_DIR: with the embedded model's 49216 words instead
of 32064 the weights are 2 % more.
"""

import json
import pathlib
import shutil
import sys

import numpy as np

LAYERS, WIDTH, INNER = 32, 4096, 11008
TOWER = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}


def tensors(vocabulary):
    """Name and shape of every weight, as the hub's llava-1.5-7b-hf names them."""
    yield "language_model.model.embed_tokens.weight", (vocabulary, WIDTH)
    for i in range(LAYERS):
        at = f"language_model.model.layers.{i}."
        for name in "qkvo":
            yield f"{at}self_attn.{name}_proj.weight", (WIDTH, WIDTH)
        for name, shape in (("gate", (INNER, WIDTH)), ("up", (INNER, WIDTH)), ("down", (WIDTH, INNER))):
            yield f"{at}mlp.{name}_proj.weight", shape
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{at}{name}.weight", (WIDTH,)
    yield "language_model.model.norm.weight", (WIDTH,)
    yield "language_model.lm_head.weight", (vocabulary, WIDTH)
    c, inner = TOWER["hidden_size"], TOWER["intermediate_size"]
    tower = "vision_tower.vision_model."
    yield f"{tower}embeddings.class_embedding", (c,)
    yield f"{tower}embeddings.patch_embedding.weight", (c, 3, 14, 14)
    yield f"{tower}embeddings.position_embedding.weight", (577, c)
    for name in ("pre_layrnorm", "post_layernorm"):
        yield f"{tower}{name}.weight", (c,)
        yield f"{tower}{name}.bias", (c,)
    for i in range(TOWER["num_hidden_layers"]):
        at = f"{tower}encoder.layers.{i}."
        linears = [(f"self_attn.{n}_proj", c, c) for n in ("q", "k", "v", "out")] + [("mlp.fc1", inner, c), ("mlp.fc2", c, inner)]
        for name, out, width in linears:
            yield f"{at}{name}.weight", (out, width)
            yield f"{at}{name}.bias", (out,)
        for name in ("layer_norm1", "layer_norm2"):
            yield f"{at}{name}.weight", (c,)
            yield f"{at}{name}.bias", (c,)
    for name, width in (("linear_1", c), ("linear_2", WIDTH)):
        yield f"multi_modal_projector.{name}.weight", (WIDTH, width)
        yield f"multi_modal_projector.{name}.bias", (WIDTH,)


def bfloat16(values):
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def main():
    tokenizer, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    scratch = out.with_name(out.name + ".making")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    source = json.loads((tokenizer / "config.json").read_text())
    vocabulary = source["text_config"]["vocab_size"]
    config = {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "dtype": "bfloat16",
        "image_token_index": source["image_token_index"],
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "tie_word_embeddings": False,
        "text_config": {
            "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
            "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": vocabulary,
            "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "eos_token_id": 2, "bos_token_id": 1,
        },  # fmt: skip
        "vision_config": {"model_type": "clip_vision_model", "image_size": 336, "patch_size": 14, **TOWER},
    }
    (scratch / "config.json").write_text(json.dumps(config))
    processor = {
        "image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": 336}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": 336, "width": 336}, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": [0.48145466, 0.4578275, 0.40821073], "do_convert_rgb": True,
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }  # fmt: skip
    (scratch / "preprocessor_config.json").write_text(json.dumps(processor))
    (scratch / "processor_config.json").write_text(
        json.dumps({"processor_class": "LlavaProcessor", "patch_size": 14, "vision_feature_select_strategy": "default",
                    "num_additional_image_tokens": 1, "image_token": "<image>"})  # fmt: skip
    )
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tokenizer / name, scratch / name)

    random = np.random.default_rng(1)
    pool = bfloat16(random.standard_normal(1 << 25) * 0.02)  # weights repeat after 64 MB, at odd places
    ones = bfloat16(np.ones(1 << 13))
    weight_map, shard, shard_bytes, count = {}, [], 0, 0

    def write_shard():
        nonlocal shard, shard_bytes, count
        count += 1
        name = f"model-{count:05d}.safetensors"
        header, offset = {}, 0
        for key, shape in shard:
            size = 2 * int(np.prod(shape))
            header[key] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
            offset += size
            weight_map[key] = name
        text = json.dumps(header).encode()
        with open(scratch / name, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for key, shape in shard:
                left, start = int(np.prod(shape)), int(random.integers(1 << 20))
                while left:
                    source = ones if "norm" in key and key.endswith("weight") else pool[start:]
                    piece = source[:left]
                    file.write(piece.tobytes())
                    left, start = left - len(piece), 0
        shard, shard_bytes = [], 0

    for key, shape in tensors(vocabulary):
        shard.append((key, list(shape)))
        shard_bytes += 2 * int(np.prod(shape))
        if shard_bytes > 2 << 30:
            write_shard()
            print(f"{len(weight_map)} tensors written", flush=True)
    write_shard()
    (scratch / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    scratch.rename(out)


if __name__ == "__main__":
    main()
