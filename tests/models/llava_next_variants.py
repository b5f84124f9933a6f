"""Variants of LLaVA-NeXT and LLaVA-OneVision: shapes of pictures, conversations, decoders, names, what is refused."""

from llava_next_directories import LLAMA_3_CHAT_TEMPLATE, VICUNA_CHAT_TEMPLATE
from tiny_model import load_spec
from variant_parts import TWO_TURNS, Add, Removed, number_of_tokens, other_processors, pictures_and_conversations, says

SPEC = "llava_next"
ONEVISION = "llava_onevision"
TWO_IMAGES = [["user", ["1000x40.png", "grey.png", "Which one is wide?"]]]


def llava_next_variants(add: Add) -> None:
    for spec in (SPEC, ONEVISION):
        pictures_and_conversations(add, spec)
        add(f"{spec} two images", spec=spec, conversation=TWO_IMAGES)
    templates(add)
    decoder(add)
    model(add)
    files(add)
    weights(add)
    onevision(add)


def templates(add: Add) -> None:
    add(f"{SPEC} Vicuna's template", spec=SPEC, template=VICUNA_CHAT_TEMPLATE, conversation=TWO_TURNS)
    add(f"{SPEC} Llama 3's template", spec=SPEC, template=LLAMA_3_CHAT_TEMPLATE, conversation=TWO_IMAGES)


def decoder(add: Add) -> None:
    kind = "/text_config/model_type"
    add(f"{SPEC} llama", spec=SPEC, config={kind: "llama"})
    add(f"{SPEC} text model_type missing", spec=SPEC, config={kind: Removed})
    add(f"{SPEC} gemma", says("text_config.model_type"), spec=SPEC, config={kind: "gemma"})
    add(
        f"{SPEC} sliding windows",
        says("text_config.sliding_window"),
        spec=SPEC,
        config={"/text_config/sliding_window": 64},
    )
    add(
        f"{SPEC} image token beyond the vocabulary",
        says("image_token_index", "160"),
        spec=SPEC,
        config={"/image_token_index": 160},
    )
    add(f"{SPEC} image_token_id", spec=SPEC, config={"/image_token_id": 159, "/image_token_index": Removed})


def model(add: Add) -> None:
    pre = "preprocessor_config.json"
    add(
        f"{SPEC} vision_feature_select_strategy full",
        says("vision_feature_select_strategy"),
        spec=SPEC,
        config={"/vision_feature_select_strategy": "full"},
    )
    add(f"{SPEC} two feature layers", spec=SPEC, config={"/vision_feature_layer": [-2, -3]}, weights=wider_projector())
    add(f"{SPEC} another feature layer", spec=SPEC, config={"/vision_feature_layer": -3})
    add(
        f"{SPEC} projector_hidden_act relu",
        says("projector_hidden_act"),
        spec=SPEC,
        config={"/projector_hidden_act": "relu"},
    )
    add(f"{SPEC} dinov2", says("vision_config.model_type"), spec=SPEC, config={"/vision_config/model_type": "dinov2"})
    others = [[28, 56], [56, 28], [84, 56]]
    add(
        f"{SPEC} other pinpoints",
        spec=SPEC,
        config={"/image_grid_pinpoints": others},
        preprocessor={"/image_grid_pinpoints": others},
    )
    add(
        f"{SPEC} pinpoints that differ",
        (pre, "image_grid_pinpoints"),
        spec=SPEC,
        config={"/image_grid_pinpoints": others},
    )
    add(
        f"{SPEC} pinpoints missing", (pre, "image_grid_pinpoints"), spec=SPEC, config={"/image_grid_pinpoints": Removed}
    )
    add(
        f"{SPEC} pinpoints of one number",
        says("image_grid_pinpoints"),
        spec=SPEC,
        config={"/image_grid_pinpoints": [[28]]},
    )
    add(
        f"{SPEC} another image_size",
        (pre, "size is 28", "image_size is 35"),
        spec=SPEC,
        config={"/vision_config/image_size": 35},
    )


def wider_projector() -> dict:
    name = "multi_modal_projector.linear_1.weight"
    return {"drop": [name], "add": [{"name": name, "shape": [64, 64]}]}


def files(add: Add) -> None:
    pre, pro = "preprocessor_config.json", "processor_config.json"
    add(f"{SPEC} square size", spec=SPEC, preprocessor={"/size": {"height": 28, "width": 28}})
    add(f"{SPEC} bilinear", spec=SPEC, preprocessor={"/resample": 2})
    add(f"{SPEC} not cropped", spec=SPEC, preprocessor={"/do_center_crop": False})
    add(f"{SPEC} Fast", spec=SPEC, preprocessor={"/image_processor_type": "LlavaNextImageProcessorFast"})
    add(
        f"{SPEC} crop of another size",
        (pre, "crop_size is 24"),
        spec=SPEC,
        preprocessor={"/crop_size": {"height": 24, "width": 24}},
    )
    add(f"{SPEC} size missing", (pre, "crop_size is 28", "size is 224"), spec=SPEC, preprocessor={"/size": Removed})
    add(
        f"{SPEC} pinpoint of half a tile",
        (pre, "image_grid_pinpoints", "42"),
        spec=SPEC,
        config={"/image_grid_pinpoints": [[28, 42]]},
        preprocessor={"/image_grid_pinpoints": [[28, 42]]},
    )
    other_processors(add, SPEC)
    add(f"{SPEC} another patch size", (pro, "patch_size is 14", "16"), spec=SPEC, processor={"/patch_size": 14})
    add(f"{SPEC} a class token too many", (pro, "16"), spec=SPEC, processor={"/num_additional_image_tokens": 0})
    add(f"{SPEC} another image token", (pro, "image_token"), spec=SPEC, processor={"/image_token": "<|im_end|>"})


def weights(add: Add) -> None:
    def newer(name: str) -> str:
        if name.startswith("language_model.lm_head"):
            return name.removeprefix("language_model.")
        name = name.replace("language_model.model.", "language_model.").replace(
            "vision_tower.vision_model.", "vision_tower."
        )
        return f"model.{name}"

    names = [tensor["name"] for tensor in load_spec(SPEC)["tensors"]]
    add(f"{SPEC} newer names", spec=SPEC, weights={"rename": {name: newer(name) for name in names}})
    add(f"{SPEC} shards", spec=SPEC, weights={"shards": 3})
    add(f"{SPEC} no newline", ("model.safetensors", "image_newline"), spec=SPEC, weights={"drop": ["image_newline"]})


def onevision(add: Add) -> None:
    pre, pro, spec = "preprocessor_config.json", "processor_config.json", ONEVISION
    ratio = "vision_aspect_ratio"
    add(
        f"{spec} {ratio} anyres_max_1",
        spec=spec,
        config={f"/{ratio}": "anyres_max_1"},
        processor={f"/{ratio}": "anyres_max_1"},
    )
    add(f"{spec} {ratio} pad", says(ratio, "pad"), spec=spec, config={f"/{ratio}": "pad"})
    add(
        f"{spec} {ratio} of the processor missing",
        (pro, ratio, "anyres_max_9"),
        spec=spec,
        processor={f"/{ratio}": Removed},
    )
    add(f"{spec} {ratio} missing", (pro, ratio, "anyres_max_9"), spec=spec, config={f"/{ratio}": Removed})
    for strategy in ("default", Removed):
        name = f"{spec} vision_feature_select_strategy {strategy if strategy == 'default' else 'missing'}"
        words = says("vision_feature_select_strategy") if strategy == "default" else ()
        add(name, words, spec=spec, config={"/vision_feature_select_strategy": strategy})
    add(
        f"{spec} clip tower",
        says("vision_config.model_type"),
        spec=spec,
        config={"/vision_config/model_type": "clip_vision_model"},
    )
    add(f"{spec} hidden_act gelu", spec=spec, config={"/vision_config/hidden_act": "gelu"})
    add(f"{spec} another feature layer", spec=spec, config={"/vision_feature_layer": -2})
    number_of_tokens(add, spec, "num_image_tokens", 25, 16)
    add(
        f"{spec} another image processor",
        (pre, "image_processor_type"),
        spec=spec,
        preprocessor={"/image_processor_type": "LlavaNextImageProcessor"},
    )
    add(f"{spec} nulls", spec=spec, preprocessor={"/crop_size": None, "/do_center_crop": None})
    add(
        f"{spec} tied",
        spec=spec,
        config={"/tie_word_embeddings": True},
        weights={"drop": ["language_model.lm_head.weight"]},
    )
