"""The variants of the tiny model directories.

A variant changes files of a base directory. `says`: words of the message with which the server has to refuse it;
without them it has to serve it and to generate what transformers does. `instead`: transformers refuses, and the
server generates what the variant of that name does. What transformers does with each is found out by
make_variants.py.
"""

from collections.abc import Sequence

from config_variants import config_variants, rope_variants, text_config_variants, vision_variants
from file_variants import generation_variants, image_processor_variants, processor_variants
from internvl_variants import internvl_variants
from llava_next_variants import llava_next_variants
from qwen2_vl_variants import qwen2_vl_variants
from qwen3_vl_variants import qwen3_vl_variants
from smolvlm_variants import smolvlm_variants
from variant_parts import INDEX, Removed
from vila_variants import vila_variants
from weight_variants import weight_variants


def patch(changes: dict[str, object]) -> list[dict]:
    """{"/path": value} as JSON Patch."""
    return [
        {"op": "remove", "path": path} if value is Removed else {"op": "add", "path": path, "value": value}
        for path, value in changes.items()
    ]


def variants() -> list[dict]:
    """[{"name", "spec", "files", "weights", ..}]"""
    found = {}

    def add(
        name: str,
        says: str | Sequence[str] = (),
        *,
        spec: str = "clip_mha",
        instead: str | None = None,
        weights: dict | None = None,
        hub_cache: bool = False,
        conversation: list | None = None,
        **files: object,
    ) -> None:
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
        variant |= {"conversation": conversation} if conversation else {}
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
    qwen2_vl_variants(add)
    qwen3_vl_variants(add)
    internvl_variants(add)
    llava_next_variants(add)
    vila_variants(add)
    smolvlm_variants(add)
    return list(found.values())
