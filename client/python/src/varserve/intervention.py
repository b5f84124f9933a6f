"""Interventions other than VAR: the messages of proto/varserve/v1/intervention.proto. docs/interventions.md says what
each computes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, get_args

from varserve.errors import InvalidArgumentError
from varserve.v1 import intervention_pb2 as pb
from varserve.v1 import var_pb2
from varserve.var import Detail, Var


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """What is None takes its default. Layers count from 0, inclusive."""

    first_layer: int | None = None
    last_layer: int | None = None
    detail: Detail | None = None  # how much evidence the reply contains

    def to_proto(self) -> pb.Intervention:
        values = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        if "detail" in values:
            values["detail"] = f"VAR_DETAIL_{values['detail'].upper()}"
        message = pb.Intervention()
        options = getattr(message, type(self).__name__.lower())
        options.SetInParent()
        options.MergeFrom(type(options)(**values))
        return message


@dataclass(frozen=True, kw_only=True)
class Pai(Intervention):
    """Pay Attention to Image: amplifies attention to the picture."""

    alpha: float | None = None


@dataclass(frozen=True, kw_only=True)
class Vaf(Intervention):
    """Visual Amplification Fusion: weighs the picture, and the text before it, anew in middle layers."""

    visual_scale: float | None = None
    text_scale: float | None = None


@dataclass(frozen=True, kw_only=True)
class Spin(Intervention):
    """Image-guided head suppression: weakens the heads that look at the picture least. It has no maps."""

    kept_head_ratio: float | None = None
    suppressed_gain: float | None = None


METHODS: dict[str, type[Intervention]] = {"pai": Pai, "vaf": Vaf, "spin": Spin}


def parse_setting(text: str) -> Var | Intervention:
    """ "pai", "spin:kept_head_ratio=0.8,detail=tokens", or as Var.parse."""
    method, _, rest = text.partition(":")
    if method not in METHODS:
        return Var.parse(text)
    kind = METHODS[method]
    types = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for knob in filter(None, rest.split(",")):
        name, equals, value = knob.partition("=")
        if not equals or name not in types:
            raise InvalidArgumentError(
                f'{method}: "{knob}" in "{text}" is not FIELD=VALUE with one of {", ".join(types)}'
            )
        try:
            values[name] = float(value) if "float" in types[name] else int(value) if "int" in types[name] else value
        except ValueError:
            raise InvalidArgumentError(f'{name}: "{value}" is not a number') from None
    return kind(**values)


def from_proto(message: pb.Intervention) -> Var | Intervention | None:
    """None for a method that only a newer server knows."""
    method = message.WhichOneof("method")
    if method == "var":
        return Var.from_proto(message.var)
    if method not in METHODS:
        return None
    values = {field.name: value for field, value in getattr(message, method).ListFields()}
    if "detail" in values:
        values["detail"] = _detail(values["detail"])
    names = {field.name for field in dataclasses.fields(METHODS[method])}
    return METHODS[method](**{name: value for name, value in values.items() if name in names})


def _detail(value: int) -> Any:  # noqa: ANN401 (a Detail)
    known = var_pb2.VarDetail.DESCRIPTOR.values_by_number.get(value)
    name = known.name.removeprefix("VAR_DETAIL_").lower() if known else ""
    return name if name in get_args(Detail) else None
