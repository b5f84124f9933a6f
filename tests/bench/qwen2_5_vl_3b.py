"""A Qwen2.5-VL-3B directory in bfloat16 with random weights: 7 GB, a minute. usage: qwen2_5_vl_3b.py TOKENIZER_DIR OUT

Tokenizer, chat template and the size of the vocabulary come from TOKENIZER_DIR, a LLaVA's: the embedded model has
49216 words instead of 151936.
"""

import json
import pathlib
import sys
from collections.abc import Iterator

from seven_billion import TOKENIZER_FILES, write_directory

WIDTH, INNER, LAYERS, HEADS, KV_HEADS, HEAD_SIZE = 2048, 11008, 36, 16, 2, 128
TOWER_WIDTH, TOWER_INNER, TOWER_LAYERS, TOWER_HEADS, PATCH, FRAMES, MERGE = 1280, 3420, 32, 16, 14, 2, 2
PREPROCESSOR = {
    "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor", "min_pixels": 3136,
    "max_pixels": 12845056, "patch_size": PATCH, "temporal_patch_size": FRAMES, "merge_size": MERGE,
}  # fmt: skip


def linear(name: str, outputs: int, inputs: int, bias: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs)
    if bias:
        yield f"{name}.bias", (outputs,)


def decoder(vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (vocabulary, WIDTH)
    for i in range(LAYERS):
        at = f"model.layers.{i}."
        for name, heads in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
            yield from linear(f"{at}self_attn.{name}_proj", heads * HEAD_SIZE, WIDTH, bias=True)
        yield from linear(f"{at}self_attn.o_proj", WIDTH, HEADS * HEAD_SIZE, bias=False)
        for name, outputs, inputs in (("gate", INNER, WIDTH), ("up", INNER, WIDTH), ("down", WIDTH, INNER)):
            yield from linear(f"{at}mlp.{name}_proj", outputs, inputs, bias=False)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{at}{name}.weight", (WIDTH,)
    yield "model.norm.weight", (WIDTH,)


def tower() -> Iterator[tuple[str, tuple[int, ...]]]:
    merged = MERGE * MERGE * TOWER_WIDTH
    yield "visual.patch_embed.proj.weight", (TOWER_WIDTH, 3, FRAMES, PATCH, PATCH)
    for i in range(TOWER_LAYERS):
        at = f"visual.blocks.{i}."
        yield from linear(f"{at}attn.qkv", 3 * TOWER_WIDTH, TOWER_WIDTH, bias=True)
        yield from linear(f"{at}attn.proj", TOWER_WIDTH, TOWER_WIDTH, bias=True)
        yield from linear(f"{at}mlp.gate_proj", TOWER_INNER, TOWER_WIDTH, bias=True)
        yield from linear(f"{at}mlp.up_proj", TOWER_INNER, TOWER_WIDTH, bias=True)
        yield from linear(f"{at}mlp.down_proj", TOWER_WIDTH, TOWER_INNER, bias=True)
        yield f"{at}norm1.weight", (TOWER_WIDTH,)
        yield f"{at}norm2.weight", (TOWER_WIDTH,)
    yield "visual.merger.ln_q.weight", (TOWER_WIDTH,)
    yield from linear("visual.merger.mlp.0", merged, merged, bias=True)
    yield from linear("visual.merger.mlp.2", WIDTH, merged, bias=True)


def configuration(source: dict) -> dict:
    """config.json as the hub has it, with the words of another model's."""
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "torch_dtype": "bfloat16",
        "tie_word_embeddings": True,
        "image_token_id": source["image_token_index"],
        "video_token_id": 3, "vision_start_token_id": 4, "vision_end_token_id": 5, "bos_token_id": 1, "eos_token_id": 2,
        "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "vocab_size": source["text_config"]["vocab_size"],
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "use_sliding_window": False,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "vision_config": {
            "depth": TOWER_LAYERS, "hidden_size": TOWER_WIDTH, "intermediate_size": TOWER_INNER,
            "num_heads": TOWER_HEADS, "out_hidden_size": WIDTH, "patch_size": PATCH, "temporal_patch_size": FRAMES,
            "spatial_merge_size": MERGE, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31],
        },
    }  # fmt: skip


def make(tokenizer: str | pathlib.Path, out: str | pathlib.Path) -> None:
    """Writes the directory; `out` appears when it is complete."""
    tokenizer, out = pathlib.Path(tokenizer), pathlib.Path(out)
    config = configuration(json.loads((tokenizer / "config.json").read_text()))
    texts = {"config.json": json.dumps(config), "preprocessor_config.json": json.dumps(PREPROCESSOR)}
    for name in TOKENIZER_FILES:
        texts[name] = (tokenizer / name).read_text().replace("<image>", "<|image_pad|>")
    write_directory(out, texts, [*decoder(config["vocab_size"]), *tower()])


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2])
