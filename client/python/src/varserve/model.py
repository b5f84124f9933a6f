"""The server's model: the message Model of proto/varserve/v1/inference.proto."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

from google.protobuf.message import Message

from varserve.intervention import Intervention, from_proto
from varserve.v1 import inference_pb2 as pb
from varserve.var import Var

T = TypeVar("T")


@dataclass(frozen=True)
class Decoder:
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context: int


@dataclass(frozen=True)
class VisionTower:
    kind: str
    image_height: int
    image_width: int
    patch_size: int
    visual_tokens: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Limits:
    max_images: int
    max_image_bytes: int
    max_image_pixels: int
    max_message_bytes: int
    max_settings: int
    max_map_bytes: int
    max_tokens: int
    max_messages: int
    max_parts: int


@dataclass(frozen=True)
class VarProfile:
    """Which hidden dimensions make a token a sink in this model, and from which phi."""

    sink_dimensions: Sequence[int]
    tau: float
    source: str
    decoder: str


@dataclass(frozen=True)
class Model:
    name: str
    dtype: str
    device: str
    server_version: str
    decoder: Decoder
    vision_tower: VisionTower
    chat_template: str
    limits: Limits
    var_profile: VarProfile | None
    default_var: Var
    instruction_set: str  # of the CPU; empty on other devices
    quantization: str  # of the decoder's weights: int8, int4, int4 (awq), ..; empty if they are of `dtype`
    interventions: Sequence[Var | Intervention]  # what the server has for the model, with defaults

    @classmethod
    def from_proto(cls, message: pb.Model) -> Model:
        profile = message.var_profile
        return cls(
            name=message.name,
            dtype=message.dtype,
            device=message.device,
            server_version=message.server_version,
            decoder=_fill(Decoder, message.decoder),
            vision_tower=_fill(VisionTower, message.vision_tower),
            chat_template=message.chat_template,
            limits=_fill(Limits, message.limits),
            var_profile=VarProfile(tuple(profile.sink_dimensions), profile.tau, profile.source, profile.decoder)
            if message.HasField("var_profile")
            else None,
            default_var=Var.from_proto(message.default_var),
            instruction_set=message.instruction_set,
            quantization=message.quantization,
            interventions=tuple(one for one in map(from_proto, message.interventions) if one is not None),
        )


def _fill(kind: type[T], message: Message) -> T:
    return kind(**{field.name: getattr(message, field.name) for field in fields(kind)})  # type: ignore[arg-type]
