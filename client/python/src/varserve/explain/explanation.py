"""Asks for what it takes to show what an intervention did to one answer, as client/explain does.

The API gives attention averaged over layers and sinks counted over layers. So the answer is generated under several
settings in one call (the picture's prefix is shared): off, with maps over all layers, and, for VAR, with maps over each
band of layers. Where the sinks of each layer are takes one row per layer: visual sinks do not depend on what is
generated, nor on the method.
"""

from __future__ import annotations

import html
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varserve.errors import FailedPreconditionError, InternalError
from varserve.explain.data import report_data
from varserve.explain.page import report_page
from varserve.requests import PictureQuestion, Request, image_digest
from varserve.v1 import inference_pb2 as pb
from varserve.v1 import intervention_pb2, var_pb2

MAX_BANDS = 6
Setting = intervention_pb2.Intervention
Steps = Generator[Request, list[Any], Any]  # yields calls, takes the messages of each


@dataclass(frozen=True)
class Band:
    first_layer: int
    last_layer: int
    maps: Sequence[var_pb2.AttentionMap]  # mean over the band's layers


@dataclass(frozen=True)
class Evidence:
    """The replies that an explanation is made of."""

    model: pb.Model
    setting: Setting  # with every field set
    started: pb.Started  # with it
    off: pb.Finished
    on: pb.Finished
    last_text: str  # of the last token of `on`, which has no report of its own
    bands: Sequence[Band]  # the first: all layers; none of SPIN and of a contrast alone, which have no maps
    # Of each layer that the setting changes; none without maps, or without a VAR profile.
    sinks: dict[int, Sequence[var_pb2.VisualSink]]


class Explanation:
    """The explain page of one answer. A notebook shows it; `save` writes a file for a browser."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data  # what `varserve explain --json` prints

    @property
    def html(self) -> str:
        """The page, which needs no other file."""
        return report_page(self.data)

    def save(self, path: str | Path) -> None:
        Path(path).write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        # In a frame, so that the page's style and the notebook's do not mix.
        page = html.escape(self.html)
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts" style="width: 100%; height: 900px; border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        question, off, on = self.data["question"], self.data["off"]["text"], self.data["on"]["text"]
        return f"Explanation({question=}, {off=}, {on=})"


def explain_steps(question: PictureQuestion) -> Generator[Request, list[Any], Explanation]:
    [model] = yield Request("GetModel", pb.GetModelRequest(), question.call)
    max_settings = model.limits.max_settings
    if max_settings < 2:
        raise InternalError("model.limits.max_settings: the server compares fewer than two settings")
    # What the server makes of the options. Also brings the picture into its prefix cache.
    probe = yield _compare(
        question, [_with_detail(_shown(question.intervention), var_pb2.VAR_DETAIL_NONE)], max_tokens=1
    )
    setting = _started(probe, 0).intervention
    if not setting.ByteSize():
        raise FailedPreconditionError("started.intervention: the server is older than this client; update it")
    layers = _layers(setting)
    if layers and not layers[0] <= layers[1] < model.decoder.layers:
        raise InternalError(
            f"started.intervention: the server changes layers {layers[0]} to {layers[1]} of {model.decoder.layers}"
        )
    answers = yield from _ask_answers(question, setting, max_settings)
    sinks: dict[int, Sequence[var_pb2.VisualSink]] = {}
    if layers and answers["bands"] and model.HasField("var_profile"):
        sinks = yield from _ask_sinks(question, setting.var, layers, max_settings)
    return Explanation(report_data(question, Evidence(model=model, setting=setting, sinks=sinks, **answers)))


def split_layers(first_layer: int, last_layer: int, max_bands: int) -> list[tuple[int, int]]:
    """At most `max_bands` bands that together are the layers first to last, as equal as can be."""
    layers = last_layer - first_layer + 1
    count = min(layers, max_bands)
    return [(first_layer + i * layers // count, first_layer + (i + 1) * layers // count - 1) for i in range(count)]


def _ask_answers(question: PictureQuestion, setting: Setting, max_settings: int) -> Steps:
    on = 1  # the setting's index; then one for each further band
    bands = _bands(setting, max_settings - on)
    settings = [Setting(var=var_pb2.VarOptions(mode="VAR_MODE_OFF"))]
    if not bands:
        settings.append(_with_detail(setting, var_pb2.VAR_DETAIL_LAYERS))
    for first, last in bands:
        settings.append(_with_detail(setting, var_pb2.VAR_DETAIL_MAPS))
        if setting.HasField("var"):
            settings[-1].var.map_layers.extend(range(first, last + 1))
    messages = yield _compare(question, settings)
    finished = _finished(messages, len(settings))
    deltas = [message.response.delta for message in messages if message.setting == on]
    deltas = [delta for delta in deltas if delta.token_ids]
    reports = [one.var_report if setting.HasField("var") else one.intervention_report for one in finished[on:]]
    return {
        "started": _started(messages, on),
        "off": finished[0],
        "on": finished[on],
        "last_text": deltas[-1].text if deltas and len(deltas[-1].token_ids) == 1 else "",
        "bands": [Band(first, last, reports[i].maps) for i, (first, last) in enumerate(bands)],
    }


def _ask_sinks(question: PictureQuestion, var: var_pb2.VarOptions, layers: tuple[int, int], max_settings: int) -> Steps:
    sinks: dict[int, Sequence[var_pb2.VisualSink]] = {}
    for begin in range(layers[0], layers[1] + 1, max_settings):
        some = range(begin, min(begin + max_settings, layers[1] + 1))
        settings = []
        for layer in some:
            setting = _with_detail(Setting(var=var), var_pb2.VAR_DETAIL_LAYERS)
            setting.var.mode = var_pb2.VAR_MODE_OBSERVE
            setting.var.first_layer = setting.var.last_layer = layer
            settings.append(setting)
        finished = _finished((yield _compare(question, settings, max_tokens=1)), len(settings))
        for layer, one in zip(some, finished, strict=True):
            sinks[layer] = one.var_report.visual_sinks
    return sinks


def _shown(asked: Setting) -> Setting:
    shown = Setting()
    shown.CopyFrom(asked)
    if shown.WhichOneof("contrast"):
        if shown.HasField("var") and shown.var.mode != var_pb2.VAR_MODE_ON:
            shown.ClearField("var")
    elif shown.WhichOneof("method") in ("var", None):
        shown.var.mode = var_pb2.VAR_MODE_ON
    return shown


def _with_detail(setting: Setting, detail: var_pb2.VarDetail) -> Setting:
    """With as much evidence as the method has up to `detail`."""
    detailed = Setting()
    detailed.CopyFrom(setting)
    method = detailed.WhichOneof("method")
    if method == "var":
        del detailed.var.map_layers[:]
    if method:
        most = var_pb2.VAR_DETAIL_LAYERS if method == "spin" else var_pb2.VAR_DETAIL_MAPS
        getattr(detailed, method).detail = min(detail, most)
    return detailed


def _layers(setting: Setting) -> tuple[int, int] | None:
    """Those whose attention the setting changes; None of a contrast alone."""
    method = setting.WhichOneof("method")
    if method is None:
        return None
    options = getattr(setting, method)
    return options.first_layer, options.last_layer


def _bands(setting: Setting, max_bands: int) -> list[tuple[int, int]]:
    """For VAR, whose maps can be those of some layers, also of parts of the layers."""
    layers = _layers(setting)
    if layers is None or setting.HasField("spin"):
        return []
    bands = split_layers(*layers, 1)
    if setting.HasField("var") and max_bands > 1:
        bands += split_layers(*layers, min(MAX_BANDS, max_bands - 1))
    return bands


def _compare(question: PictureQuestion, settings: list[Setting], max_tokens: int | None = None) -> Request:
    options = pb.GenerateOptions()
    options.CopyFrom(question.options)
    if max_tokens is not None:
        options.max_tokens = max_tokens
    parts = [pb.Part(image=pb.Image(data=question.image)), pb.Part(text=question.question)]
    request = pb.GenerateRequest(messages=[pb.Message(role="ROLE_USER", parts=parts)], options=options)
    message = pb.CompareRequest(request=request, interventions=settings)
    return Request("Compare", message, question.call, image_digest([question.image]))


def _started(messages: list[pb.CompareResponse], setting: int) -> pb.Started:
    started = [one.response.started for one in messages if one.setting == setting and one.response.HasField("started")]
    return started[0] if started else pb.Started()


def _finished(messages: list[pb.CompareResponse], settings: int) -> list[pb.Finished]:
    finished = {one.setting: one.response.finished for one in messages if one.response.HasField("finished")}
    if len(finished) != settings:
        raise InternalError("stream: the server ended it without a result")
    return [finished[i] for i in range(settings)]
