"""InternVL2 and InternVL2.5 => the layout of InternVL3's -hf directories, which transformers loads too."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

from chat_template import chat_template
from checkpoint import Source, convert_weights
from fields import Fields
from internvl.config import processor_files, read_model
from internvl.conversation import read_conversation, turns
from internvl.tokenizer import IMAGE_TOKENS, convert_tokenizer
from internvl.weights import all_parts
from model_files import end_tokens, write_json


def convert(source: pathlib.Path, target: pathlib.Path, say: Callable[[str], None]) -> None:
    fields = Fields.read(source / "config.json")
    model = read_model(fields)
    conversation = read_conversation(source, fields.need("template", str))
    if message := fields.optional("system_message", str):
        conversation = dataclasses.replace(conversation, system_message=message)
    converted = convert_tokenizer(source)
    image_token = IMAGE_TOKENS["context_image_token"]
    config = model.config | {"image_token_id": converted.token_id(image_token, "the visual token of InternVL")}
    vocabulary = config["text_config"]["vocab_size"]
    if config["image_token_id"] >= vocabulary:
        raise fields.refused(
            "llm_config.vocab_size", f"is {vocabulary}, but {image_token} is token {config['image_token_id']}"
        )
    end = converted.token_id(conversation.sep.strip(), "the end of a message in conversation.py")
    write_json(target / "config.json", config)
    write_json(target / "generation_config.json", {"eos_token_id": end_tokens(source, end)})
    for name, values in processor_files(model).items():
        write_json(target / name, values)
    write_json(target / "tokenizer_config.json", converted.config)
    converted.tokenizer.save(str(target / "tokenizer.json"))
    template = chat_template(turns(conversation, image_token))
    (target / "chat_template.jinja").write_text(template, encoding="utf-8")
    convert_weights([Source(source, all_parts(model))], target, say)
