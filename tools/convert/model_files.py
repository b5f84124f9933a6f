"""The small files of a model directory."""

from __future__ import annotations

import json
import pathlib

from fields import Fields


def write_json(file: pathlib.Path, values: dict) -> None:
    file.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def end_tokens(source: pathlib.Path, *ends: int) -> list[int]:
    """Those with which the original code ends an answer, and those that the directory adds."""
    if not (source / "generation_config.json").exists():
        return [*ends]
    more = Fields.read(source / "generation_config.json").optional("eos_token_id", int, list)
    return list(dict.fromkeys([*ends, *(more if isinstance(more, list) else [more] if more is not None else [])]))
