"""The tokenizer of a directory, as tokenizer.json and tokenizer_config.json."""

from __future__ import annotations

import dataclasses
import pathlib

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from added_tokens import add_tokens, read_added_tokens, special_token
from fields import Fields, Refused
from sentencepiece_bpe import sentencepiece_bpe
from tokenizer_files import CONFIG, add_bos, read_file

# transformers' name of the role => the token that the original chat() uses for it.
IMAGE_TOKENS = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
# Qwen2Tokenizer's pieces of text.
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclasses.dataclass(frozen=True)
class ConvertedTokenizer:
    tokenizer: Tokenizer
    config: dict  # tokenizer_config.json

    def token_id(self, token: str, where: str) -> int:
        """`where` names the file and field that the token is from."""
        if (token_id := self.tokenizer.token_to_id(token)) is None:
            raise Refused(f"{CONFIG}: added_tokens_decoder does not have {token}, {where}")
        return token_id


def byte_level_bpe(directory: pathlib.Path) -> Tokenizer:
    """Qwen2Tokenizer's."""
    for name in ("vocab.json", "merges.txt"):
        if not (directory / name).exists():
            raise Refused(f"{name}: is missing in {directory}")
    files = (directory / "vocab.json", directory / "merges.txt")
    tokenizer = Tokenizer(read_file("vocab.json or merges.txt", models.BPE.from_file, *files))
    tokenizer.normalizer, tokenizer.decoder = normalizers.NFC(), decoders.ByteLevel()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def internlm2(directory: pathlib.Path, fields: Fields) -> Tokenizer:
    fields.only("add_eos_token", False, missing=False)
    added = read_added_tokens(fields)
    tokenizer = sentencepiece_bpe(directory / "tokenizer.model", added)
    add_tokens(tokenizer, added, fields)
    if fields.only("add_bos_token", True, False, missing=True):
        add_bos(tokenizer, special_token(fields, "bos_token") or "<s>", fields)
    return tokenizer


def load(directory: pathlib.Path, fields: Fields) -> Tokenizer:
    """tokenizer.json if there is one, else what the class of the tokenizer reads."""
    if (directory / "tokenizer.json").exists():
        tokenizer = read_file("tokenizer.json", Tokenizer.from_file, directory / "tokenizer.json")
    elif fields.only("tokenizer_class", "InternLM2Tokenizer", "Qwen2Tokenizer") == "InternLM2Tokenizer":
        return internlm2(directory, fields)
    else:
        tokenizer = byte_level_bpe(directory)
    add_tokens(tokenizer, read_added_tokens(fields), fields)
    return tokenizer


def convert_tokenizer(directory: pathlib.Path) -> ConvertedTokenizer:
    fields = Fields.read(directory / CONFIG)
    names = ("bos_token", "eos_token", "pad_token", "unk_token")
    special = {name: special_token(fields, name) for name in names if fields.has(name)}
    # transformers needs a token for videos, and adds this one, as for InternVL3. The chat template never writes it.
    images = IMAGE_TOKENS | {"video_token": "<video>"}
    config = {
        **special,
        **images,
        "clean_up_tokenization_spaces": False,
        "extra_special_tokens": images,
        **fields.copy("model_max_length"),
        "processor_class": "InternVLProcessor",
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    converted = ConvertedTokenizer(load(directory, fields), config)
    for name, token in IMAGE_TOKENS.items():
        converted.token_id(token, f"the {name} of InternVL")
    return converted
