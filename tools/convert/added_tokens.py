"""The added tokens of tokenizer_config.json, which every tokenizer of transformers 4.34 or newer writes."""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer

from fields import Fields

MOST_DIGITS = 9  # of a token's id
FLAGS = ("lstrip", "normalized", "rstrip", "single_word", "special")


def read_added_tokens(fields: Fields) -> dict[int, AddedToken]:
    """By id, ascending."""
    tokens = {}
    entries = fields.object("added_tokens_decoder")
    for key in fields.need("added_tokens_decoder", dict):
        if not key.isdecimal() or len(key) > MOST_DIGITS:
            raise entries.refused(key, "is not the id of a token")
        entry = entries.object(key)
        tokens[int(key)] = AddedToken(
            entry.need("content", str), **{flag: bool(entry.only(flag, False, True, missing=False)) for flag in FLAGS}
        )
    return dict(sorted(tokens.items()))


def add_tokens(tokenizer: Tokenizer, tokens: dict[int, AddedToken], fields: Fields) -> None:
    for token_id, token in tokens.items():
        tokenizer.add_tokens([token])
        if (actual := tokenizer.token_to_id(token.content)) != token_id:
            raise fields.refused(f"added_tokens_decoder.{token_id}", f"would be token {actual}: {token.content}")


def special_token(fields: Fields, name: str) -> str | None:
    """bos_token and the like, which are texts or objects."""
    value = fields.optional(name, str, dict)
    return fields.object(name).need("content", str) if isinstance(value, dict) else value
