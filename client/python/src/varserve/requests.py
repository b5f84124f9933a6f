"""The request messages of a client's methods. Nothing here waits, so the sync and the asyncio client share it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import numpy as np
from google.protobuf.message import Message

from varserve.errors import InvalidArgumentError
from varserve.fields import must_be, text
from varserve.generation import CallOptions, call_options, call_options_only, generate_options
from varserve.images import ImageLike, encode
from varserve.intervention import Intervention, combine
from varserve.v1 import inference_pb2 as pb
from varserve.v1 import intervention_pb2
from varserve.var import Var

Length = Literal["short", "medium", "long"]
Images = ImageLike | Sequence[ImageLike]
Setting = Var | Intervention
LONGEST_REQUEST = 2**31 - 1  # to protobuf and gRPC a size is an int


class Turn(TypedDict):
    """A message of a conversation, written as for Hugging Face's chat templates: `content` is a text, or a list of
    {"type": "text", "text": ...} and {"type": "image", "image": a path, bytes, a PIL image or an array}."""

    role: Literal["system", "user", "assistant"]
    content: str | Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Request:
    """A call that is ready to be made. `method`: of the service VisionLanguage."""

    method: str
    message: Message
    call: CallOptions
    image_digest: str = (
        ""  # for a load balancer: sends all questions about a picture to the replica that has its prefix
    )


@dataclass(frozen=True)
class PictureQuestion:
    """What can be explained: one question about one picture."""

    image: bytes
    question: str
    options: pb.GenerateOptions
    intervention: intervention_pb2.Intervention
    call: CallOptions


def ask(
    images: Images, question: str, setting: Setting | None, options: Mapping[str, Any], defaults: CallOptions
) -> Request:
    encoded = [encode(image) for image in _list(images)]
    message = pb.AnswerRequest(
        images=[pb.Image(data=data) for data in encoded],
        question=text("question", question),
        options=generate_options(options),
        **_fields(setting),
    )
    return Request("Answer", message, call_options(options, defaults), image_digest(encoded))


def caption(
    image: ImageLike, length: Length, setting: Setting | None, options: Mapping[str, Any], defaults: CallOptions
) -> Request:
    if length not in ("short", "medium", "long"):
        raise InvalidArgumentError(f'length: must be short, medium or long, not "{length}"')
    data = encode(image)
    message = pb.CaptionRequest(
        image=pb.Image(data=data),
        length=f"CAPTION_LENGTH_{length.upper()}",
        options=generate_options(options),
        **_fields(setting),
    )
    return Request("Caption", message, call_options(options, defaults), image_digest([data]))


def chat(turns: Sequence[Turn], setting: Setting | None, options: Mapping[str, Any], defaults: CallOptions) -> Request:
    message = pb.GenerateRequest(messages=_messages(turns), options=generate_options(options), **_fields(setting))
    return Request("Generate", message, call_options(options, defaults), image_digest(_pictures(message)))


def compare(
    turns: Sequence[Turn], settings: Sequence[Setting], options: Mapping[str, Any], defaults: CallOptions
) -> Request:
    request = pb.GenerateRequest(messages=_messages(turns), options=generate_options(options))
    message = pb.CompareRequest(request=request)
    if not isinstance(settings, list | tuple):
        raise must_be("settings", "a list", settings)
    for i, one in enumerate(settings):
        _check_setting(f"settings[{i}]", one)
    var = [setting for setting in settings if isinstance(setting, Var)]
    if len(var) == len(settings):  # the field that every server knows
        message.settings.extend(setting.to_proto() for setting in var)
    else:
        message.interventions.extend(_intervention(setting) for setting in settings)
    return Request("Compare", message, call_options(options, defaults), image_digest(_pictures(request)))


def model(options: Mapping[str, Any], defaults: CallOptions) -> Request:
    return Request("GetModel", pb.GetModelRequest(), call_options_only(options, defaults))


def picture_question(
    image: ImageLike, question: str, setting: Setting | None, options: Mapping[str, Any], defaults: CallOptions
) -> PictureQuestion:
    call = call_options(options, defaults)
    generation, intervention = generate_options(options), _intervention(setting or Var())
    return PictureQuestion(encode(image), text("question", question), generation, intervention, call)


def question_turn(images: Images, question: str) -> list[Turn]:
    """The conversation that a question about pictures is."""
    pictures: list[Mapping[str, Any]] = [{"type": "image", "image": image} for image in _list(images)]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": text("question", question)}]}]


def explainable(request: Request) -> PictureQuestion | None:
    """None if it is anything else than one question about one picture."""
    message = request.message
    if isinstance(message, pb.AnswerRequest):
        images, texts = [image.data for image in message.images], [message.question]
    elif isinstance(message, pb.GenerateRequest) and len(message.messages) == 1:
        images = list(_pictures(message))
        texts = [part.text for part in message.messages[0].parts if part.HasField("text")]
    else:
        return None
    if len(images) != 1 or len(texts) != 1:
        return None
    intervention = intervention_pb2.Intervention(var=message.var)
    if message.HasField("intervention"):
        intervention = message.intervention
    return PictureQuestion(images[0], texts[0], message.options, intervention, request.call)


def image_digest(images: Iterable[bytes]) -> str:
    """Hex SHA-256 over the encoded images, one after the other; empty if there are none."""
    images = list(images)
    return hashlib.sha256(b"".join(images)).hexdigest() if images else ""


def setting(var: Var | None, intervention: Intervention | None) -> Setting | None:
    """The one that is given, or both together."""
    for name, one in (("var", var), ("intervention", intervention)):
        if one is not None:
            _check_setting(name, one)
    if var is not None and intervention is not None:
        return combine(var, intervention)
    return var if intervention is None else intervention


def _check_setting(name: str, value: object) -> None:
    if not isinstance(value, Var | Intervention):
        raise must_be(name, "a Var, such as Var.on(), or one of Pai, Vaf, Spin, Vcd, Icd and M3id", value)


def _fields(setting: Setting | None) -> dict[str, Any]:
    """Of a request."""
    if setting is None:
        return {}
    return {"intervention" if isinstance(setting, Intervention) else "var": setting.to_proto()}


def _intervention(setting: Setting) -> intervention_pb2.Intervention:
    if isinstance(setting, Intervention):
        return setting.to_proto()
    return intervention_pb2.Intervention(var=setting.to_proto())


def _list(images: Images) -> list[ImageLike]:
    if isinstance(images, list | tuple):
        return list(images)
    if isinstance(images, np.ndarray) and images.ndim == 4:
        return list(images)
    return [images]  # type: ignore[list-item]


def _pictures(request: pb.GenerateRequest) -> Iterable[bytes]:
    for message in request.messages:
        for part in message.parts:
            if part.HasField("image"):
                yield part.image.data


def _messages(turns: Sequence[Turn]) -> list[pb.Message]:
    if not isinstance(turns, list | tuple):
        raise must_be("messages", "a list of turns", turns)
    return [_message(f"messages[{i}]", turn) for i, turn in enumerate(turns)]


def _message(name: str, turn: Turn) -> pb.Message:
    if not isinstance(turn, Mapping):
        raise must_be(name, '{"role": ..., "content": ...}', turn)
    if turn.get("role") not in ("system", "user", "assistant"):
        raise InvalidArgumentError(f'{name}.role: must be system, user or assistant, not "{turn.get("role")}"')
    content = turn.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list | tuple):
        raise InvalidArgumentError(f"{name}.content: must be a text or a list of parts")
    parts = [_part(f"{name}.content[{i}]", part) for i, part in enumerate(content)]
    return pb.Message(role=f"ROLE_{turn['role'].upper()}", parts=parts)


def _part(name: str, part: Mapping[str, Any]) -> pb.Part:
    if isinstance(part, Mapping):
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            return pb.Part(text=part["text"])
        picture = part.get("image", part.get("path"))
        if part.get("type") == "image" and picture is not None:
            return pb.Part(image=pb.Image(data=encode(picture)))
    raise must_be(name, '{"type": "text", "text": ...} or {"type": "image", "image": ...}', part)
