"""How one request's attention is treated: the message VarOptions of proto/varserve/v1/var.proto."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from varserve.errors import InvalidArgumentError
from varserve.fields import fill, must_be
from varserve.v1 import var_pb2

if TYPE_CHECKING:
    from typing_extensions import Unpack

Mode = Literal["off", "observe", "on"]
Variant = Literal["paper", "authors_code"]
Preset = Literal["general", "hallucination", "vision_centric"]
Detail = Literal["none", "layers", "tokens", "maps"]
_CHOICES = {
    "mode": get_args(Mode),
    "variant": get_args(Variant),
    "preset": get_args(Preset),
    "detail": get_args(Detail),
}


class VarKnobs(TypedDict, total=False):
    """The fields of Var except its mode."""

    variant: Variant
    preset: Preset
    tau: float
    rho: float
    p: float
    min_visual_attention: float
    first_layer: int
    last_layer: int
    detail: Detail
    map_layers: Sequence[int]


def check_choice(name: str, value: object) -> None:
    """None takes the default."""
    if value is not None and value not in _CHOICES[name]:
        raise InvalidArgumentError(f'{name}: must be one of {", ".join(_CHOICES[name])}, not "{value}"')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Var:
    """Visual Attention Redistribution of a request; what is None takes its default, see docs/var.md.

    Var.on(preset="hallucination"), Var.observe(detail="maps"), Var.off()."""

    mode: Mode | None = None  # None: the server's default
    variant: Variant | None = None
    preset: Preset | None = None
    tau: float | None = None  # sink threshold on phi
    rho: float | None = None  # minimum share of visual attention on non-sinks in an image-centric head
    p: float | None = None  # share of the sinks' attention that is moved
    min_visual_attention: float | None = None  # of an image-centric head
    first_layer: int | None = None
    last_layer: int | None = None
    detail: Detail | None = None  # how much evidence the reply contains
    map_layers: Sequence[int] = ()  # layers that attention maps are the mean of

    def __post_init__(self) -> None:
        for name in _CHOICES:
            check_choice(name, getattr(self, name))
        if isinstance(self.map_layers, str) or not isinstance(self.map_layers, Iterable):
            raise must_be("map_layers", "a list of layers", self.map_layers)
        object.__setattr__(self, "map_layers", tuple(self.map_layers))

    @classmethod
    def off(cls) -> Var:
        """Plain attention; nothing is measured."""
        return cls(mode="off")

    @classmethod
    def observe(cls, **knobs: Unpack[VarKnobs]) -> Var:
        """Measures sinks and attention, changes nothing."""
        return cls(mode="observe", **knobs)

    @classmethod
    def on(cls, **knobs: Unpack[VarKnobs]) -> Var:
        """Redistributes attention, and measures."""
        return cls(mode="on", **knobs)

    @classmethod
    def parse(cls, text: str) -> Var:
        """ "on", "observe:rho=0.5" or "on:preset=hallucination,p=0.4"."""
        mode, _, rest = text.partition(":")
        types = {field.name: str(field.type) for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {"mode": mode}
        for knob in filter(None, rest.split(",")):
            name, equals, value = knob.partition("=")
            if not equals or name not in types or name in ("mode", "map_layers"):
                raise InvalidArgumentError(f'var: "{knob}" in "{text}" is not FIELD=VALUE with a field of VarOptions')
            try:
                values[name] = float(value) if "float" in types[name] else int(value) if "int" in types[name] else value
            except ValueError:
                raise InvalidArgumentError(f'{name}: "{value}" is not a number') from None
        return cls(**values)

    def to_proto(self) -> var_pb2.VarOptions:
        values = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        for name in _CHOICES:
            if name in values:
                values[name] = f"VAR_{name.upper()}_{values[name].upper()}"
        return fill(var_pb2.VarOptions, values, "var")

    @classmethod
    def from_proto(cls, message: var_pb2.VarOptions) -> Var:
        values: dict[str, Any] = {}
        for field, value in message.ListFields():
            if field.name in _CHOICES:
                known = field.enum_type.values_by_number.get(value) if field.enum_type else None
                name = known.name.removeprefix(f"VAR_{field.name.upper()}_").lower() if known else ""
                if name in _CHOICES[field.name]:  # else only a newer server knows it
                    values[field.name] = name
            else:
                values[field.name] = tuple(value) if field.name == "map_layers" else value
        return cls(**values)
