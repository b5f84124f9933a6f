"""config.json of VILA => that of transformers' LLaVA, or of VARServe's "vila", and the files of its processor.

Fields and their defaults: configuration_llava.py, vision_encoder.py and mm_utils.py of NVlabs/VILA.
"""

from __future__ import annotations

import dataclasses
import pathlib

from decoder import Decoder, read_decoder
from fields import Fields, Refused

CLIP, SIGLIP = "clip_vision_model", "siglip_vision_model"
PROJECTORS = ("linear", "mlp2x_gelu", "mlp_downsample")
ACTIVATIONS = ("gelu", "gelu_pytorch_tanh", "quick_gelu")
STRATEGIES = {"patch": "default", "cls_patch": "full"}
TOWER_SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "image_size",
    "patch_size",
)


@dataclasses.dataclass(frozen=True)
class Folders:
    """Where the parts of a model are."""

    source: pathlib.Path
    llm: pathlib.Path
    tower: pathlib.Path
    flat: bool  # VILA 1.0: the decoder and the projector are in one checkpoint


@dataclasses.dataclass(frozen=True)
class Model:
    config: dict  # without the id of the image token
    decoder: Decoder
    tower_layers: int
    is_clip: bool
    projector: str
    preprocessor: dict
    tokens: int  # of a picture

    @property
    def is_llava(self) -> bool:
        """Whether transformers' LLaVA expresses it."""
        return self.is_clip and self.projector == "mlp2x_gelu"


def find_folders(source: pathlib.Path, fields: Fields, tower: pathlib.Path | None) -> Folders:
    if fields.has("llm_cfg") or (source / "llm").exists():
        if tower:
            raise Refused("--vision_tower: the tower of VILA1.5 is in its directory; leave the flag out")
        return Folders(source, source / "llm", source / "vision_tower", flat=False)
    name = fields.need("mm_vision_tower", str)
    if tower is None:
        raise fields.refused(
            "mm_vision_tower", f"is {name}, which is not in this directory; download it too, and add --vision_tower DIR"
        )
    return Folders(source, source, tower, flat=True)


def check_top(fields: Fields) -> None:
    """Refuses what the published VILA 1.0 and 1.5 do not have, NVILA by its name."""
    ratio = fields.optional("image_aspect_ratio", str)
    if (ratio or "").startswith("dynamic") or fields.has("dynamic_s2"):
        raise fields.refused("image_aspect_ratio", f"is {ratio!r}: NVILA, which is not supported")
    fields.only("s2", False, None)
    fields.only("mm_use_im_start_end", False, None)
    fields.only("mm_use_im_patch_token", False, missing=True)
    fields.only("quantization_config", None)


def read_tower(fields: Fields) -> dict:
    """transformers' vision_config."""
    if fields.optional("model_type", str) == "clip":  # a directory with CLIP's two towers
        fields = fields.object("vision_config")
    kind = fields.optional("model_type", str)
    if kind and "intern" in kind:
        raise fields.refused(
            "model_type", f"is {kind!r}: InternViT-6B, the tower of VILA1.5-40b, which is not supported"
        )
    vision = {"model_type": fields.only("model_type", CLIP, SIGLIP)}
    vision |= {name: fields.count(name) for name in TOWER_SIZES}
    fields.heads()
    if fields.has("hidden_act"):
        fields.only("hidden_act", *ACTIVATIONS)
    vision |= fields.copy("hidden_act", "layer_norm_eps")
    fields.only("num_channels", 3, missing=3)
    fields.only("quantization_config", None)
    if kind == SIGLIP:
        vision["vision_use_head"] = False
    return vision


def read_projector(fields: Fields, folders: Folders) -> str:
    if not folders.flat:
        fields = Fields.read(folders.source / "mm_projector" / "config.json", "mm_projector/config.json")
    kind = fields.only("mm_projector_type", *PROJECTORS, missing="linear" if folders.flat else None)
    return str(kind)


def count_tokens(fields: Fields, vision: dict, projector: str, feature: str) -> int:
    side, is_clip = vision["image_size"] // vision["patch_size"], vision["model_type"] == CLIP
    if feature == "patch" and not is_clip:
        raise fields.refused("mm_vision_select_feature", "is 'patch', but SigLIP has no class token to leave out")
    if projector != "mlp_downsample":
        return side**2 + (is_clip and feature == "cls_patch")
    if is_clip and feature == "cls_patch":
        raise fields.refused("mm_vision_select_feature", "is 'cls_patch', but mlp_downsample needs a square of patches")
    return ((side + 1) // 2) ** 2


def feature_layer(fields: Fields, layers: int) -> int:
    layer = fields.need("mm_vision_select_layer", int)
    if not -layers - 1 <= layer <= layers:
        raise fields.refused("mm_vision_select_layer", f"is {layer}; the tower has {layers} layers")
    return layer


def preprocessor(fields: Fields, ratio: str | None, vision: dict) -> dict:
    """Of process_images() and the tower's processor, whose file `fields` are, in one."""
    side, is_clip = vision["image_size"], vision["model_type"] == CLIP
    for name in ("size", "crop_size") if is_clip else ("size",):
        value = fields.need(name, int, dict)
        sides = [*value.values()] if isinstance(value, dict) else [value]
        if not sides or any(other != side for other in sides):
            raise fields.refused(name, f"is {value}, not the tower's image_size, {side}")
    pixels = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": fields.need("image_mean", list),
        "image_std": fields.need("image_std", list),
        # Image.resize() of Pillow, by which process_images() resizes, is bicubic.
        "resample": 3 if ratio == "resize" else fields.only("resample", 2, 3, missing=3),
        "rescale_factor": 1 / 255,
    }
    if ratio == "resize" or (ratio != "pad" and not is_clip):
        size = {"size": {"height": side, "width": side}, "do_center_crop": False}
    else:
        size = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}, "do_center_crop": True}
    if ratio == "pad":
        return {"image_processor_type": "LlavaImageProcessor", "do_pad": True, **size, **pixels}
    return {"image_processor_type": "CLIPImageProcessor", **size, **pixels}


def read_model(fields: Fields, folders: Folders) -> Model:
    check_top(fields)
    # The code of VILA 1.0 knows no "resize", and takes it as its default.
    ratio = fields.only("image_aspect_ratio", "pad", "square", None, *([] if folders.flat else ["resize"]))
    projector = read_projector(fields, folders)
    tower_name = folders.tower.name
    vision = read_tower(Fields.read(folders.tower / "config.json", f"{tower_name}/config.json"))
    llm = fields if folders.flat else Fields.read(folders.llm / "config.json", "llm/config.json")
    llm.only("quantization_config", None)
    architecture = "LlavaLlamaForCausalLM" if folders.flat else "LlamaForCausalLM"
    decoder, text = read_decoder(llm, {architecture: "llama"}, rope_theta=10000.0)
    feature = fields.only("mm_vision_select_feature", *STRATEGIES, missing="patch")
    config = {
        "image_seq_length": count_tokens(fields, vision, projector, feature),
        "projector_hidden_act": "gelu",
        "text_config": text,
        "tie_word_embeddings": decoder.tied,
        "vision_config": vision,
        "vision_feature_layer": feature_layer(fields, vision["num_hidden_layers"]),
        "vision_feature_select_strategy": STRATEGIES[feature],
        **llm.copy("torch_dtype"),
    }
    pre = Fields.read(folders.tower / "preprocessor_config.json", f"{tower_name}/preprocessor_config.json")
    model = Model(
        config,
        decoder,
        vision["num_hidden_layers"],
        vision["model_type"] == CLIP,
        projector,
        preprocessor(pre, ratio, vision),
        config["image_seq_length"],
    )
    kind = {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava"}
    if not model.is_llava:
        kind = {
            "architectures": ["VilaForConditionalGeneration"],
            "model_type": "vila",
            "mm_projector_type": projector,
        }
    return dataclasses.replace(model, config=kind | config)


def processor_files(model: Model) -> dict[str, dict]:
    """By name."""
    if model.is_llava:
        processor = {
            "processor_class": "LlavaProcessor",
            "patch_size": model.config["vision_config"]["patch_size"],
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": model.config["vision_feature_select_strategy"],
        }
    else:
        processor = {"processor_class": "VilaProcessor", "image_seq_length": model.tokens}
    return {"preprocessor_config.json": model.preprocessor, "processor_config.json": processor}
