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
    fields = Fields.read(source / "generation_config.json")
    more = fields.optional("eos_token_id", int, list)
    added = more if isinstance(more, list) else [more] if more is not None else []
    for token in added:
        if type(token) is not int or token < 0:
            raise fields.refused("eos_token_id", f"has {token!r}, which is not the id of a token")
    return list(dict.fromkeys([*ends, *added]))
