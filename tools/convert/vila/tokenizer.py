"""The tokenizer of VILA, as tokenizer.json and tokenizer_config.json, and the conversation that goes with it.

VILA's code has no token for pictures: it looks up token 0 and puts the visual tokens in its place. Here a token that no
text has becomes <image>: Llama 2's <unk>, whose tokenizer spells unknown characters in bytes, or one that Llama 3
reserves.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re

from tokenizers import AddedToken, Tokenizer

from added_tokens import add_tokens, read_added_tokens, special_token
from chat_template import Turns
from fields import Fields, Refused
from sentencepiece_bpe import Piece, read_proto, sentencepiece_bpe
from tokenizer_files import CONFIG, add_bos, read_file
from vila.conversation import LLAMA_3_ENDS, llama_3, vicuna_v1

IMAGE = "<image>"
RESERVED = re.compile(r"<\|reserved_special_token_(\d+)\|>")


@dataclasses.dataclass(frozen=True)
class ConvertedTokenizer:
    tokenizer: Tokenizer
    config: dict  # tokenizer_config.json
    turns: Turns
    ends: list[int]  # tokens that end an answer
    image_id: int


def converted(tokenizer: Tokenizer, turns: Turns, bos: str, ends: tuple[str, ...]) -> ConvertedTokenizer:
    config = {
        "bos_token": bos,
        "clean_up_tokenization_spaces": False,
        "eos_token": ends[0],
        "extra_special_tokens": {"image_token": IMAGE},
        "image_token": IMAGE,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    for token in (bos, *ends):
        if tokenizer.token_to_id(token) is None:
            raise Refused(f"tokenizer: there is no token {token}")
    ids = [tokenizer.token_to_id(token) for token in ends]
    return ConvertedTokenizer(tokenizer, config, turns, ids, tokenizer.token_to_id(IMAGE))


def llama_2(directory: pathlib.Path, fields: Fields) -> ConvertedTokenizer:
    """LlamaTokenizer with legacy=False, as VILA's code makes it whatever the file says, but for the dummy prefix."""
    fields.only("tokenizer_class", "LlamaTokenizer")
    fields.only("add_eos_token", False, missing=False)
    fields.only("add_bos_token", True, missing=True)
    file = directory / "tokenizer.model"
    added = {
        i: AddedToken(piece.piece, normalized=False, special=True)
        for i, piece in enumerate(read_proto(file).pieces)
        if piece.type == Piece.CONTROL
    }
    if fields.has("added_tokens_decoder"):
        added |= read_added_tokens(fields)
    elif (directory / "added_tokens.json").exists():
        raise Refused(f"added_tokens.json: is not supported without added_tokens_decoder in {CONFIG}")
    added[read_proto(file).trainer_spec.unk_id] = AddedToken(IMAGE, normalized=False, special=True)
    tokenizer = sentencepiece_bpe(file, added, prefixes=False)
    add_tokens(tokenizer, added, fields)
    bos, eos = special_token(fields, "bos_token") or "<s>", special_token(fields, "eos_token") or "</s>"
    add_bos(tokenizer, bos, fields)
    return converted(tokenizer, vicuna_v1(eos), bos, (eos,))


def llama_3_tokenizer(file: pathlib.Path) -> ConvertedTokenizer:
    read_file(file.name, Tokenizer.from_file, file)
    values = json.loads(file.read_text(encoding="utf-8"))
    reserved = [token for token in values.get("added_tokens", []) if RESERVED.fullmatch(token["content"])]
    if not reserved:
        raise Refused(f"{file.name}: added_tokens: has no <|reserved_special_token_N|>; supported: Llama 3's tokenizer")
    max(reserved, key=lambda token: token["id"])["content"] = IMAGE
    tokenizer = Tokenizer.from_str(json.dumps(values))
    bos = "<|begin_of_text|>"
    adds_bos = tokenizer.token_to_id(bos) in tokenizer.encode("a").ids
    return converted(tokenizer, llama_3(bos if adds_bos else ""), bos, LLAMA_3_ENDS)


def convert_tokenizer(directory: pathlib.Path) -> ConvertedTokenizer:
    if (directory / "tokenizer.model").exists():
        return llama_2(directory, Fields.read(directory / CONFIG))
    if (directory / "tokenizer.json").exists():
        return llama_3_tokenizer(directory / "tokenizer.json")
    raise Refused(f"tokenizer.model: there is neither this file nor tokenizer.json in {directory}")
