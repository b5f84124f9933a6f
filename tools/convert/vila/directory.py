"""VILA 1.0 and VILA1.5 => the layout of LLaVA's -hf directories."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

from chat_template import chat_template
from checkpoint import convert_weights
from fields import Fields
from model_files import end_tokens, write_json
from vila.config import find_folders, processor_files, read_model
from vila.tokenizer import convert_tokenizer
from vila.weights import sources


def convert(source: pathlib.Path, target: pathlib.Path, tower: pathlib.Path | None, say: Callable[[str], None]) -> None:
    fields = Fields.read(source / "config.json")
    folders = find_folders(source, fields, tower)
    model = read_model(fields, folders)
    converted = convert_tokenizer(folders.llm)
    vocabulary = model.config["text_config"]["vocab_size"]
    if (most := max(converted.image_id, *converted.ends)) >= vocabulary:
        raise fields.refused("vocab_size", f"is {vocabulary}, but the tokenizer has a token {most}")
    write_json(target / "config.json", model.config | {"image_token_index": converted.image_id})
    write_json(target / "generation_config.json", {"eos_token_id": end_tokens(folders.llm, *converted.ends)})
    for name, values in processor_files(model).items():
        write_json(target / name, values)
    write_json(target / "tokenizer_config.json", converted.config)
    converted.tokenizer.save(str(target / "tokenizer.json"))
    (target / "chat_template.jinja").write_text(chat_template(converted.turns), encoding="utf-8")
    convert_weights(sources(model, folders), target, say)
