"""How an answer is generated, and how its call is made: the keyword arguments of a client's methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from varserve.errors import InvalidArgumentError
from varserve.v1 import inference_pb2 as pb


class CallOptions(TypedDict, total=False):
    timeout: float  # seconds for the call with all its tries
    request_id: str  # in the server's logs; the server makes one if there is none
    max_retries: int  # how often a call that was refused before its first response is tried again


class Options(CallOptions, total=False):
    """The fields of GenerateOptions in proto/varserve/v1/inference.proto, and those of the call."""

    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    seed: int
    repetition_penalty: float
    stop: str | Sequence[str]
    logprobs: int
    ignore_eos: bool


_CALL = CallOptions.__optional_keys__
_GENERATION = Options.__optional_keys__ - _CALL


def generate_options(options: Mapping[str, Any]) -> pb.GenerateOptions:
    if unknown := set(options) - _GENERATION - _CALL:
        known = ", ".join(sorted(_GENERATION | _CALL))
        raise TypeError(f"{min(unknown)}: there is no such option; there are {known}")
    values = {name: value for name, value in options.items() if name in _GENERATION and value is not None}
    if isinstance(values.get("stop"), str):
        values["stop"] = [values["stop"]]
    for name, value in values.items():
        _check(name, value)
    return pb.GenerateOptions(**values)


def _check(name: str, value: object) -> None:
    try:
        pb.GenerateOptions(**{name: value})  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"options.{name}: {error}") from None


def call_options(options: Mapping[str, Any], defaults: CallOptions) -> CallOptions:
    """What the call asks for, else the client's own."""
    chosen = {name: value for name, value in options.items() if name in _CALL}
    return {**defaults, **chosen}  # type: ignore[typeddict-item]
