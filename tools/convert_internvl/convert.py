"""Converts an InternVL2 directory in the layout of its own code to the one that transformers and VARServe load."""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Sequence

from checkpoint import convert_weights
from config import processor_files, read_model
from conversation import chat_template, read_conversation
from fields import Fields, Refused
from tokenizer import IMAGE_TOKENS, convert_tokenizer

DESCRIPTION = """\
Converts an InternVL2 or InternVL2.5 directory as it is on the hub (config.json: model_type internvl_chat; a decoder of
InternLM2, Qwen2 or Llama) to the layout of InternVL3's -hf directories, which varserve-server and transformers load.
Runs no code of the directory. Writes as many bytes as it reads, and needs little memory."""


def say(text: str) -> None:
    print(f"convert: {text}", flush=True)


def write_json(file: pathlib.Path, values: dict) -> None:
    file.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def end_tokens(source: pathlib.Path, end: int) -> list[int]:
    """The one with which chat() ends an answer, and those that the directory adds."""
    if not (source / "generation_config.json").exists():
        return [end]
    more = Fields.read(source / "generation_config.json").optional("eos_token_id", int, list)
    return list(dict.fromkeys([end, *(more if isinstance(more, list) else [more] if more is not None else [])]))


def convert(source: pathlib.Path, target: pathlib.Path) -> None:
    """Into an empty folder."""
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
    (target / "chat_template.jinja").write_text(chat_template(conversation, image_token), encoding="utf-8")
    convert_weights(source, target, model, say)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="convert_internvl", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=pathlib.Path, metavar="SOURCE", help="the directory to convert")
    parser.add_argument("target", type=pathlib.Path, metavar="TARGET", help="the directory to write; must not exist")
    arguments = parser.parse_args(words)
    target = arguments.target.absolute()
    partial = None
    try:
        if target.exists():
            raise Refused(f"{target}: exists already")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = pathlib.Path(tempfile.mkdtemp(prefix=f"{target.name}.partial-", dir=target.parent))
        convert(arguments.source, partial)
        partial.chmod(0o755)
        partial.rename(target)
    except (Refused, OSError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    finally:
        if partial:
            shutil.rmtree(partial, ignore_errors=True)
    say(f"wrote {target}")
    return 0
