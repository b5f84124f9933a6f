"""The specs of the tiny models (models/*.json): names and shapes from transformers, scales chosen here.

Scales are powers of two: then the product in a tensor's formula is exact, and fusing it with the addition
changes no bit.
"""

import copy
import json
import re
import tempfile

from safetensors import safe_open
from transformers import AutoConfig, AutoModelForImageTextToText

import internvl_specs
import llava_next_specs
import qwen2_vl_specs as qwen
import smolvlm_specs
import vila_specs
from llava_specs import clip_tower, llava
from qwen2_vl_specs import BOS
from weight_names import Naming, hub_names, internvl_names, module_names, own_names, qwen2_vl_names

# Text tokens with huge values in the sink dimensions, as BOS and punctuation have them in trained decoders.
SINK_TOKENS = (BOS, 13, 28, 47, 66, 85, 104, 123, 142)

# (pattern of the name, scale, offset); the first match counts.
SCALES = (
    (r"(norm\d*|ln_q|layernorm_before|layernorm_after)\.weight", 0.25, 1.0),
    (r"lambda_?[12]", 0.25, 0.75),
    (r"bias", 0.125, 0.0),
    (r"embed_tokens", 0.5, 0.0),
    (r"lm_head", 0.5, 0.0),
    (r"class_embedding|cls_token|mask_token|position_embedding|pos_embed", 1.0, 0.0),
    (r"patch_embed", 0.125, 0.0),
    (r"(language|text)_model.*(o_proj|down_proj)", 0.125, 0.0),
    (r"", 0.25, 0.0),
)
# The two layers of projectors and mergers, those of DeepStack too.
PROJECTOR_IN = r"(linear_1|merger\.mlp\.0|merger(_list\.\d+)?\.linear_fc1)"
PROJECTOR_OUT = r"(linear_2|merger\.mlp\.2|merger(_list\.\d+)?\.linear_fc2)"


def stored_tensors(config: dict, naming: Naming | None) -> dict[str, list[int]]:
    """Names and shapes of a checkpoint's tensors, in order; naming None: as this transformers writes them."""
    own_config = copy.deepcopy(config)  # for_model changes it
    model = AutoModelForImageTextToText.from_config(AutoConfig.for_model(**own_config))
    if naming:  # tied weights are listed once
        return {naming(name): list(p.shape) for name, p in model.named_parameters()}
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory)
        with safe_open(f"{directory}/model.safetensors", "pt") as f:
            return {name: f.get_slice(name).get_shape() for name in f.keys()}  # noqa: SIM118 (not a dict)


def make_spec(
    config: dict,
    naming: Naming | None,
    images: int | list[list[int]],
    sinks: dict[int, tuple[float, float]],
    tau: float,
) -> dict:
    """`images`: the side of all pictures, or height and width of each. `sinks`: {sink dimension: (value in the
    embeddings of SINK_TOKENS, gate)}.

    The projector makes the visual sinks: the hidden unit of the same index drives a sink dimension, and its
    bias, `gate`, closes it for most visual tokens. A projector of one layer has no bias: its weights are `gate` times
    as large.
    """
    tensors = []
    for name, shape in stored_tensors(config, naming).items():
        scale, offset = next((s, o) for pattern, s, o in SCALES if re.search(pattern, name))
        tensor = {"name": name, "shape": shape, "scale": scale, "offset": offset}
        if "embed_tokens" in name:
            # Signs and sizes differ, so that not all sinks look alike.
            tensor["cells"] = [
                [token, dimension, value * (1.0 - 0.125 * (i % 4)) * (-1) ** (i // 4 % 2)]
                for dimension, (value, _) in sinks.items()
                for i, token in enumerate(SINK_TOKENS)
            ]
        elif name.endswith("image_newline"):  # newlines are text sinks
            tensor["cells"] = [[dimension, 16.0] for dimension in sinks]
        elif re.search(rf"{PROJECTOR_IN}\.weight$", name):
            tensor["rows"] = {str(dimension): 4.0 for dimension in sinks}
        elif re.search(rf"{PROJECTOR_IN}\.bias$", name):
            tensor["cells"] = [[dimension, gate] for dimension, (_, gate) in sinks.items()]
        elif re.search(rf"{PROJECTOR_OUT}\.weight$", name):
            tensor["cells"] = [[dimension, dimension, 8.0] for dimension in sinks]
        elif name.endswith("modality_projection.proj.weight"):  # no bias, no gate: what is large is a sink
            tensor["rows"] = {str(dimension): gate for dimension, (_, gate) in sinks.items()}
        elif re.search(r"(language_model|model)\.norm\.weight$", name):
            # Otherwise the sink dimensions alone would decide the next token.
            tensor["cells"] = [[dimension, 0.00390625] for dimension in sinks]
        tensors.append(tensor)
    return {
        "config": config,
        "tensors": tensors,
        "profile": {"sink_dimensions": list(sinks), "tau": tau},
        "image_sizes" if isinstance(images, list) else "image_size": images,
    }


def specs() -> dict[str, dict]:
    # Multi-head attention; what the config leaves out has to be taken from defaults, as in the published one.
    clip_mha = llava(
        clip_tower(image_size=28, patch_size=7, num_hidden_layers=3),
        {
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_attention_heads": 4,
            "num_hidden_layers": 4,
            "rms_norm_eps": 1e-05,
        },
        vision_feature_layer=-2,
    )
    # rms_norm_eps is large, so that phi of the two variants differs.
    clip_gqa = llava(
        clip_tower(image_size=28, patch_size=7, num_hidden_layers=2),
        {
            "hidden_size": 96,
            "intermediate_size": 112,
            "num_attention_heads": 6,
            "num_hidden_layers": 4,
            "num_key_value_heads": 2,
            "rms_norm_eps": 0.01,
            "rope_scaling": None,
            "rope_theta": 1000000.0,
            "tie_word_embeddings": True,
        },
        vision_feature_layer=-2,
    )
    clip_gqa["tie_word_embeddings"] = True
    # The tower's position grid is 10 x 10, the pictures have 6 x 6 patches.
    dinov2_gqa = llava(
        {
            "model_type": "dinov2",
            "hidden_act": "gelu",
            "hidden_size": 48,
            "image_size": 70,
            "layer_norm_eps": 1e-06,
            "mlp_ratio": 2,
            "num_attention_heads": 3,
            "num_channels": 3,
            "num_hidden_layers": 3,
            "patch_size": 7,
            "qkv_bias": True,
            "use_swiglu_ffn": False,
        },
        {
            "head_dim": 16,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_attention_heads": 4,
            "num_hidden_layers": 5,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-05,
            "rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"},
            "tie_word_embeddings": False,
        },
        vision_feature_layer=-1,
    )
    # Of the twelve frequencies one is kept, two are blended, the others are divided; the class token is kept.
    llama3_rope = llava(
        clip_tower(image_size=35, patch_size=7, num_hidden_layers=4),
        {
            "head_dim": 24,
            "hidden_size": 72,
            "intermediate_size": 96,
            "num_attention_heads": 6,
            "num_hidden_layers": 5,
            "num_key_value_heads": 3,
            "rms_norm_eps": 1e-05,
            "rope_parameters": {
                "factor": 8.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 64,
                "rope_theta": 500000.0,
                "rope_type": "llama3",
            },
            "tie_word_embeddings": False,
        },
        vision_feature_layer=[-2, -1],
        vision_feature_select_strategy="full",
    )
    # Other decoders that LLaVA-shaped checkpoints use. Without sliding windows, as all that are served.
    mistral = llava(
        clip_tower(image_size=28, patch_size=7, num_hidden_layers=2),
        {
            "architectures": ["MistralForCausalLM"],
            "head_dim": 16,
            "hidden_size": 64,
            "intermediate_size": 96,
            "model_type": "mistral",
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "num_key_value_heads": 1,
            "rms_norm_eps": 1e-05,
            "rope_theta": 1000000.0,
            "sliding_window": None,
        },
        vision_feature_layer=-2,
    )
    qwen2 = llava(
        clip_tower(image_size=28, patch_size=7, num_hidden_layers=2),
        {
            "architectures": ["Qwen2ForCausalLM"],
            "hidden_size": 96,
            "intermediate_size": 112,
            "max_window_layers": 2,
            "model_type": "qwen2",
            "num_attention_heads": 6,
            "num_hidden_layers": 3,
            "num_key_value_heads": 3,
            "rms_norm_eps": 1e-06,
            "rope_theta": 1000000.0,
            "sliding_window": 64,
            "tie_word_embeddings": True,
            "use_sliding_window": False,
        },
        vision_feature_layer=-2,
    )
    qwen2["tie_word_embeddings"] = True
    qwen3 = llava(
        clip_tower(image_size=28, patch_size=7, num_hidden_layers=2),
        {
            "architectures": ["Qwen3ForCausalLM"],
            "head_dim": 32,
            "hidden_size": 64,
            "intermediate_size": 96,
            "model_type": "qwen3",
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_theta": 1000000.0,
        },
        vision_feature_layer=-2,
    )
    return {
        "clip_mha": make_spec(clip_mha, hub_names, 28, {9: (32.0, -4.5), 42: (6.0, -6.0)}, 3.25),
        "clip_gqa": make_spec(clip_gqa, module_names, 28, {17: (32.0, -6.0), 70: (6.0, -6.0)}, 4.0),
        "dinov2_gqa": make_spec(dinov2_gqa, None, 42, {5: (32.0, -11.0), 58: (6.0, -10.0)}, 3.25),
        "llama3_rope": make_spec(llama3_rope, None, 35, {0: (32.0, -11.5), 71: (6.0, -14.5)}, 4.0),
        "mistral": make_spec(mistral, hub_names, 28, {9: (32.0, -4.5), 42: (6.0, -6.0)}, 3.25),
        "qwen2": make_spec(qwen2, module_names, 28, {17: (32.0, -6.0), 70: (6.0, -6.0)}, 4.0),
        "qwen3": make_spec(qwen3, None, 28, {9: (32.0, -4.5), 42: (6.0, -6.0)}, 3.25),
        "qwen2_vl": make_spec(qwen.qwen2_vl(), qwen2_vl_names, qwen.IMAGES, {17: (32.0, -6.0), 70: (6.0, -6.0)}, 4.0),
        "qwen2_5_vl": make_spec(qwen.qwen2_5_vl(), own_names, qwen.IMAGES, {17: (32.0, -6.0), 70: (6.0, -6.0)}, 4.0),
        "qwen3_vl": make_spec(qwen.qwen3_vl(), own_names, qwen.IMAGES, {9: (32.0, -4.5), 42: (6.0, -6.0)}, 3.25),
        "llava_next": make_spec(
            llava_next_specs.llava_next(), hub_names, llava_next_specs.IMAGES, {9: (32.0, -4.5), 42: (6.0, -6.0)}, 3.25
        )
        | {"picture_sizes": llava_next_specs.PICTURES},
        "llava_onevision": make_spec(
            llava_next_specs.llava_onevision(),
            hub_names,
            llava_next_specs.ONEVISION_IMAGES,
            {17: (32.0, -6.0), 70: (6.0, -6.0)},
            4.0,
        )
        | {"picture_sizes": llava_next_specs.ONEVISION_PICTURES},
        "internvl": make_spec(
            internvl_specs.internvl3(), internvl_names, internvl_specs.IMAGES, {17: (32.0, -8.0), 70: (6.0, -8.0)}, 4.0
        ),
        "internvl3_5": make_spec(
            internvl_specs.internvl3_5(), own_names, internvl_specs.IMAGES, {17: (32.0, -8.0), 70: (6.0, -8.0)}, 4.0
        ),
        "vila1_5": make_spec(vila_specs.vila1_5(), own_names, 38, {17: (32.0, -2.0), 70: (6.0, -2.0)}, 4.0),
        "vila1_0": make_spec(vila_specs.vila1_0(), own_names, 28, {9: (32.0, -1.0), 42: (6.0, -1.0)}, 5.0),
        "idefics3": make_spec(
            smolvlm_specs.idefics3(), own_names, smolvlm_specs.IMAGES, {17: (32.0, 3.0), 70: (6.0, 2.0)}, 4.0
        ),
        "smolvlm": make_spec(
            smolvlm_specs.smolvlm(), None, smolvlm_specs.SMOLVLM_IMAGES, {9: (32.0, 3.0), 42: (6.0, 2.0)}, 4.0
        ),
    }


def to_json(spec: dict) -> str:
    """One tensor a line."""
    head = {key: value for key, value in spec.items() if key != "tensors"}
    text = json.dumps(head, indent=1)[:-2]
    lines = ",\n".join("  " + json.dumps(tensor) for tensor in spec["tensors"])
    return f'{text},\n "tensors": [\n{lines}\n ]\n}}\n'
