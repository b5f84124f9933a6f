"""What the tokenizers of several layouts have in common."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TypeVar

from tokenizers import Tokenizer, processors

from fields import Fields, Refused

T = TypeVar("T")
CONFIG = "tokenizer_config.json"


def read_file(name: str, read: Callable[..., T], *files: pathlib.Path) -> T:
    try:
        return read(*map(str, files))
    except Exception as error:  # the tokenizers library has no class of its own
        raise Refused(f"{name}: {error}") from None


def add_bos(tokenizer: Tokenizer, bos: str, fields: Fields) -> None:
    """Before every text."""
    if (bos_id := tokenizer.token_to_id(bos)) is None:
        raise fields.refused("bos_token", f"is {bos}, which is not a token")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, bos_id)]
    )
