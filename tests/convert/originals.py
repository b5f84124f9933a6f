"""The parts of tiny InternVL2 directories in the layout of the original code; directories.py writes them."""

from __future__ import annotations

import io
import json
import pathlib
import sys

import sentencepiece
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "golden"))
from tricky_texts import HAND_MADE

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A text that nobody edits: the tokenizers, and with them all answers, depend on each word.
CORPUS = [*(ROOT / "LICENSE").read_text(encoding="utf-8").splitlines(), *HAND_MADE]
UNUSED = [f"[UNUSED_TOKEN_{i}]" for i in range(6)]
INTERNLM2_TOKENS = ["<|action_start|>", "<|im_end|>", "<|im_start|>"]
QWEN2_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
IMAGE_TOKENS = ["<img>", "</img>", "<IMG_CONTEXT>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>"]
CONVERSATION = """
raise RuntimeError("the converter ran this file")
register_conv_template(
    Conversation(name="plain", system_template="", roles=("A", "B"), sep_style=SeparatorStyle.INTERNVL_ZH, sep="</s>")
)
register_conv_template(
    Conversation(
        name="internlm2-chat",
        system_template="<|im_start|>system\\n{system_message}",
        # a remark
        system_message="你是 \\"InternVL\\", a model's test.",
        roles=("<|im_start|>user\\n", "<|im_start|>assistant\\n"),
        sep_style=SeparatorStyle.MPT,
        sep="<|im_end|>",
    )
)
register_conv_template(
    Conversation(
        name="internvl2_5",
        system_template="<|im_start|>system\\n{system_message}",
        system_message="Another one.",
        roles=("<|im_start|>user\\n", "<|im_start|>assistant\\n"),
        sep_style=SeparatorStyle.MPT,
        sep="<|im_end|>\\n",
    )
)
"""


def sentencepiece_model(**options: object) -> bytes:
    """As InternLM2's, whose last pieces are user-defined."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=written,
        minloglevel=2,
        **{
            "model_type": "bpe",
            "vocab_size": 700,
            "hard_vocab_limit": False,
            "byte_fallback": True,
            "character_coverage": 0.98,
            "normalization_rule_name": "identity",
            "add_dummy_prefix": False,
            "remove_extra_whitespaces": False,
            **options,
        },
    )
    return written.getvalue()


def added_tokens(tokens: dict[int, str]) -> dict:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {str(i): {"content": content, **flags} for i, content in tokens.items()}


def internlm2_tokenizer(**options: object) -> tuple[dict[str, object], int]:
    """The files by name, and how many tokens there are. The chat's tokens have the ids of user-defined pieces."""
    model = sentencepiece_model(user_defined_symbols=UNUSED, **options)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    chat = {pieces.piece_to_id(piece): name for piece, name in zip(UNUSED[:3], INTERNLM2_TOKENS, strict=True)}
    size = pieces.get_piece_size()
    tokens = {0: "<unk>", 1: "<s>", 2: "</s>", **chat, **dict(enumerate(IMAGE_TOKENS, start=size))}
    config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": added_tokens(tokens),
        "auto_map": {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]},
        "bos_token": "<s>",
        "eos_token": {"content": "</s>"},
        "pad_token": "</s>",
        "unk_token": "<unk>",
        "tokenizer_class": "InternLM2Tokenizer",
    }
    return {"tokenizer.model": model, "tokenizer_config.json": config}, size + len(IMAGE_TOKENS)


def qwen2_tokenizer() -> tuple[dict[str, object], int]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    bpe = json.loads(tokenizer.to_str())["model"]
    tokens = dict(enumerate([*QWEN2_TOKENS, *IMAGE_TOKENS], start=len(bpe["vocab"])))
    config = {
        "add_bos_token": False,
        "added_tokens_decoder": added_tokens(tokens),
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "Qwen2Tokenizer",
    }
    merges = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in bpe["merges"])])
    files = {"vocab.json": bpe["vocab"], "merges.txt": merges, "tokenizer_config.json": config}
    return files, len(bpe["vocab"]) + len(tokens)


def config(architecture: str, vocabulary: int, text: dict, vision: dict) -> dict:
    return {
        "architectures": ["InternVLChatModel"],
        "auto_map": {"AutoConfig": "configuration_internvl_chat.InternVLChatConfig"},
        "downsample_ratio": 0.5,
        "dynamic_image_size": True,
        "force_image_size": 16,
        "llm_config": {
            "architectures": [architecture],
            "hidden_act": "silu",
            "hidden_size": 96,
            "intermediate_size": 112,
            "max_position_embeddings": 512,
            "num_attention_heads": 6,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-05,
            "rope_theta": 1000000,
            "tie_word_embeddings": False,
            "vocab_size": vocabulary,
            **text,
        },
        "max_dynamic_patch": 6,
        "min_dynamic_patch": 1,
        "model_type": "internvl_chat",
        "ps_version": "v2",
        "select_layer": -1,
        "template": "internlm2-chat",
        "torch_dtype": "float32",
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "use_thumbnail": True,
        "vision_config": {
            "hidden_act": "gelu",
            "hidden_size": 32,
            "image_size": 16,
            "intermediate_size": 64,
            "layer_norm_eps": 1e-06,
            "model_type": "intern_vit_6b",
            "norm_type": "layer_norm",
            "num_attention_heads": 2,
            "num_channels": 3,
            "num_hidden_layers": 2,
            "patch_size": 4,
            "qk_normalization": False,
            "qkv_bias": True,
            **vision,
        },
    }


def shapes(config: dict) -> dict[str, list[int]]:
    """Of the original code's modules."""
    vision, text = config["vision_config"], config["llm_config"]
    width, inner = vision["hidden_size"], vision["intermediate_size"]
    shapes = {
        "embeddings.class_embedding": [1, 1, width],
        "embeddings.patch_embedding.weight": [width, 3, vision["patch_size"], vision["patch_size"]],
        "embeddings.patch_embedding.bias": [width],
        "embeddings.position_embedding": [1, (vision["image_size"] // vision["patch_size"]) ** 2 + 1, width],
    }
    for i in range(vision["num_hidden_layers"]):
        linear = {"attn.proj": (width, width), "mlp.fc1": (inner, width), "mlp.fc2": (width, inner)}
        layer = {
            f"{name}.{k}": list(shape[:n]) for name, shape in linear.items() for k, n in (("weight", 2), ("bias", 1))
        }
        layer |= {"ls1": [width], "ls2": [width], "norm1.weight": [width], "norm2.weight": [width]}
        layer |= {"attn.qkv.weight": [3 * width, width]}
        if vision["qkv_bias"]:
            layer["attn.qkv.bias"] = [3 * width]
        if vision["norm_type"] == "layer_norm":
            layer |= {"norm1.bias": [width], "norm2.bias": [width]}
        if vision["qk_normalization"]:
            layer |= {"attn.q_norm.weight": [width], "attn.k_norm.weight": [width]}
        shapes |= {f"encoder.layers.{i}.{name}": shape for name, shape in layer.items()}
    shapes = {f"vision_model.{name}": shape for name, shape in shapes.items()}
    hidden = text["hidden_size"]
    shapes |= {"mlp1.0.weight": [4 * width], "mlp1.0.bias": [4 * width], "mlp1.1.weight": [hidden, 4 * width]}
    shapes |= {"mlp1.1.bias": [hidden], "mlp1.3.weight": [hidden, hidden], "mlp1.3.bias": [hidden]}
    decoder = internlm2_shapes(text) if text["architectures"] == ["InternLM2ForCausalLM"] else llama_shapes(text)
    return shapes | {f"language_model.{name}": shape for name, shape in decoder.items()}


def internlm2_shapes(text: dict) -> dict[str, list[int]]:
    hidden, inner, heads = text["hidden_size"], text["intermediate_size"], text["num_attention_heads"]
    fused = (heads + 2 * text["num_key_value_heads"]) * hidden // heads
    names = {"model.tok_embeddings": [text["vocab_size"], hidden], "model.norm": [hidden]}
    names["output"] = [text["vocab_size"], hidden]
    for i in range(text["num_hidden_layers"]):
        layer = {"attention.wqkv": [fused, hidden], "attention.wo": [hidden, hidden]}
        layer |= {"feed_forward.w1": [inner, hidden], "feed_forward.w2": [hidden, inner]}
        layer |= {"feed_forward.w3": [inner, hidden], "attention_norm": [hidden], "ffn_norm": [hidden]}
        names |= {f"model.layers.{i}.{name}": shape for name, shape in layer.items()}
    return {f"{name}.weight": shape for name, shape in names.items()}


def llama_shapes(text: dict) -> dict[str, list[int]]:
    hidden, inner, heads = text["hidden_size"], text["intermediate_size"], text["num_attention_heads"]
    shared = text["num_key_value_heads"] * hidden // heads
    names = {"model.embed_tokens.weight": [text["vocab_size"], hidden], "model.norm.weight": [hidden]}
    if not text["tie_word_embeddings"]:
        names["lm_head.weight"] = [text["vocab_size"], hidden]
    for i in range(text["num_hidden_layers"]):
        layer = {"mlp.gate_proj.weight": [inner, hidden], "mlp.up_proj.weight": [inner, hidden]}
        layer |= {"mlp.down_proj.weight": [hidden, inner], "self_attn.o_proj.weight": [hidden, hidden]}
        layer |= {"input_layernorm.weight": [hidden], "post_attention_layernorm.weight": [hidden]}
        for part, width in (("q", hidden), ("k", shared), ("v", shared)):
            layer[f"self_attn.{part}_proj.weight"] = [width, hidden]
            if text["architectures"] == ["Qwen2ForCausalLM"]:
                layer[f"self_attn.{part}_proj.bias"] = [width]
        names |= {f"model.layers.{i}.{name}": shape for name, shape in layer.items()}
    return names
