"""Interventions other than VAR: the messages of proto/varserve/v1/intervention.proto. docs/interventions.md says what
each computes."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, get_args

from varserve.errors import InvalidArgumentError
from varserve.fields import fill, must_be
from varserve.v1 import intervention_pb2 as pb
from varserve.v1 import var_pb2
from varserve.var import Detail, Mode, Var, check_choice


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """What is None takes its default."""

    def to_proto(self) -> pb.Intervention:
        values = {name: getattr(self, name) for name in _knobs(type(self)) if getattr(self, name) is not None}
        if "detail" in values:
            values["detail"] = f"VAR_DETAIL_{values['detail'].upper()}"
        message = pb.Intervention()
        name = type(self).__name__.lower()
        options = getattr(message, name)
        options.SetInParent()
        options.MergeFrom(fill(type(options), values, name))
        return message


@dataclass(frozen=True, kw_only=True)
class AttentionIntervention(Intervention):
    """Changes attention. Layers count from 0, inclusive."""

    first_layer: int | None = None
    last_layer: int | None = None
    detail: Detail | None = None  # how much evidence the reply contains

    def __post_init__(self) -> None:
        check_choice("detail", self.detail)


@dataclass(frozen=True, kw_only=True)
class Contrast(Intervention):
    """Contrasts with a sibling, which answers another prompt. `attention`: what changes the attention of the request
    itself, if anything does."""

    attention: Var | AttentionIntervention | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.attention, Var | AttentionIntervention | None):
            raise must_be("attention", "a Var, Pai, Vaf or Spin", self.attention)

    def to_proto(self) -> pb.Intervention:
        message = super().to_proto()
        if isinstance(self.attention, Var):
            message.var.CopyFrom(self.attention.to_proto())
        elif self.attention is not None:
            message.MergeFrom(self.attention.to_proto())
        return message


@dataclass(frozen=True, kw_only=True)
class Pai(AttentionIntervention):
    """Pay Attention to Image: amplifies attention to the picture; with gamma, also contrasts with no picture."""

    alpha: float | None = None
    gamma: float | None = None


@dataclass(frozen=True, kw_only=True)
class Vaf(AttentionIntervention):
    """Visual Amplification Fusion: weighs the picture, and the text before it, anew in middle layers."""

    visual_scale: float | None = None
    text_scale: float | None = None


@dataclass(frozen=True, kw_only=True)
class Spin(AttentionIntervention):
    """Image-guided head suppression: weakens the heads that look at the picture least. It has no maps."""

    kept_head_ratio: float | None = None
    suppressed_gain: float | None = None


@dataclass(frozen=True, kw_only=True)
class Vcd(Contrast):
    """Visual contrastive decoding: the sibling sees noisy pictures."""

    alpha: float | None = None
    beta: float | None = None
    noise_step: int | None = None
    noise_seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Icd(Contrast):
    """Instruction contrastive decoding: the sibling's question begins with a disturbance."""

    alpha: float | None = None
    beta: float | None = None
    disturbance: str | None = None


@dataclass(frozen=True, kw_only=True)
class M3id(Contrast):
    """Multi-modal mutual-information decoding: the sibling sees no pictures."""

    forgetting_rate: float | None = None
    confidence: float | None = None
    beta: float | None = None


METHODS: dict[str, type[Intervention]] = {"pai": Pai, "vaf": Vaf, "spin": Spin, "vcd": Vcd, "icd": Icd, "m3id": M3id}


def _knobs(kind: type[Intervention]) -> dict[str, str]:
    """Names and types of what the method's message has."""
    return {field.name: str(field.type) for field in dataclasses.fields(kind) if field.name != "attention"}


def combine(attention: Var | Intervention, contrast: Var | Intervention) -> Contrast:
    """Both on one request, in either order."""
    for first, second in ((attention, contrast), (contrast, attention)):
        if isinstance(second, Contrast) and second.attention is None and isinstance(first, Var | AttentionIntervention):
            return dataclasses.replace(second, attention=first)
    both, problem = [attention, contrast], "are both contrasts"
    if not all(isinstance(one, Contrast) for one in both):  # what a contrast is combined with counts
        both = [(one.attention or one) if isinstance(one, Contrast) else one for one in both]
        problem = "both change attention"
    names = " and ".join(type(one).__name__ for one in both)
    raise InvalidArgumentError(f"intervention: {names} {problem}; give one of them")


def parse_setting(text: str) -> Var | Intervention:
    """ "pai", "spin:kept_head_ratio=0.8,detail=tokens", or as Var.parse; also "pai+vcd:alpha=0.5"."""
    first, *others = (_parse_one(part) for part in re.split(r"\+(?=[a-z])", text))
    for other in others:
        first = combine(first, other)
    return first


def _parse_one(text: str) -> Var | Intervention:
    method, _, rest = text.partition(":")
    if method in get_args(Mode):
        return Var.parse(text)
    if method not in METHODS:
        known = ", ".join([*get_args(Mode), *METHODS])
        raise InvalidArgumentError(f'setting: "{method}" is not one of {known}')
    kind = METHODS[method]
    types = _knobs(kind)
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
    attention = _one_from_proto(message, message.WhichOneof("method"))
    contrast = _one_from_proto(message, message.WhichOneof("contrast"))
    if attention is None or contrast is None:
        return attention or contrast
    return combine(attention, contrast)


def _one_from_proto(message: pb.Intervention, method: str | None) -> Var | Intervention | None:
    if method == "var":
        return Var.from_proto(message.var)
    if method not in METHODS:
        return None
    values = {field.name: value for field, value in getattr(message, method).ListFields()}
    if "detail" in values:
        values["detail"] = _detail(values["detail"])
    names = _knobs(METHODS[method])
    return METHODS[method](**{name: value for name, value in values.items() if name in names})


def _detail(value: int) -> Any:  # noqa: ANN401 (a Detail)
    known = var_pb2.VarDetail.DESCRIPTOR.values_by_number.get(value)
    name = known.name.removeprefix("VAR_DETAIL_").lower() if known else ""
    return name if name in get_args(Detail) else None
