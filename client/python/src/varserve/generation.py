"""How an answer is generated, and how its call is made: the keyword arguments of a client's methods."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from varserve.fields import fill, must_be, text
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
    _check_names(options, _GENERATION | _CALL)
    values = {name: value for name, value in options.items() if name in _GENERATION and value is not None}
    if isinstance(values.get("stop"), str):
        values["stop"] = [values["stop"]]
    return fill(pb.GenerateOptions, values, "options")


def call_options(options: Mapping[str, Any], defaults: CallOptions) -> CallOptions:
    """What the call asks for, else the client's own."""
    chosen: CallOptions = {**defaults}
    chosen.update({name: value for name, value in options.items() if name in _CALL})  # type: ignore[typeddict-item]
    if (timeout := chosen.get("timeout")) is not None and not isinstance(timeout, numbers.Real):
        raise must_be("timeout", "a number", timeout)
    if not isinstance(retries := chosen.get("max_retries", 0), numbers.Integral):
        raise must_be("max_retries", "a whole number", retries)
    text("request_id", chosen.get("request_id", ""))
    return chosen


def call_options_only(options: Mapping[str, Any], defaults: CallOptions) -> CallOptions:
    """Of a call that generates nothing."""
    _check_names(options, _CALL)
    return call_options(options, defaults)


def _check_names(options: Mapping[str, Any], known: frozenset[str]) -> None:
    if unknown := set(options) - known:
        raise TypeError(f"{min(unknown)}: there is no such option; there are {', '.join(sorted(known))}")
