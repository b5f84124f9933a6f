"""Asks for what it takes to show what VAR did to one answer, as client/explain does.

The API gives attention averaged over layers and sinks counted over layers. So the answer is generated under several
settings in one call (the picture's prefix is shared): off, on with maps over all layers, and on with maps over each
band of layers. Where the sinks of each layer are takes one row per layer: visual sinks do not depend on what is
generated.
"""

from __future__ import annotations

import html
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varserve.errors import InternalError
from varserve.explain.data import report_data
from varserve.explain.page import report_page
from varserve.requests import PictureQuestion, Request, image_digest
from varserve.v1 import inference_pb2 as pb
from varserve.v1 import var_pb2

MAX_BANDS = 6
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
    started: pb.Started  # with VAR on
    off: pb.Finished
    on: pb.Finished
    last_text: str  # of the last token of `on`, which has no report of its own
    bands: Sequence[Band]  # the first: all layers
    sinks: dict[int, Sequence[var_pb2.VisualSink]]  # of each layer of the setting


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
    # Which layers and thresholds the server makes of the options. Also brings the picture into its prefix cache.
    probe = yield _compare(question, [_on(question.var.to_proto(), var_pb2.VAR_DETAIL_NONE)], max_tokens=1)
    var = _finished(probe, 1)[0].var_report.effective
    if not var.first_layer <= var.last_layer < model.decoder.layers:
        raise InternalError(
            f"var_report.effective: the server measured layers {var.first_layer} to {var.last_layer} of "
            f"{model.decoder.layers}"
        )
    answers = yield from _ask_answers(question, var, max_settings)
    sinks = yield from _ask_sinks(question, var, max_settings)
    return Explanation(report_data(question, Evidence(model=model, sinks=sinks, **answers)))


def split_layers(first_layer: int, last_layer: int, max_bands: int) -> list[tuple[int, int]]:
    """At most `max_bands` bands that together are the layers first to last, as equal as can be."""
    layers = last_layer - first_layer + 1
    count = min(layers, max_bands)
    return [(first_layer + i * layers // count, first_layer + (i + 1) * layers // count - 1) for i in range(count)]


def _ask_answers(question: PictureQuestion, var: var_pb2.VarOptions, max_settings: int) -> Steps:
    on_setting = 1  # then one for each band
    bands = split_layers(var.first_layer, var.last_layer, 1)
    if max_settings > on_setting + 1:
        bands += split_layers(var.first_layer, var.last_layer, min(MAX_BANDS, max_settings - on_setting - 1))
    settings = [var_pb2.VarOptions(mode="VAR_MODE_OFF")]
    for first, last in bands:
        setting = _on(var, var_pb2.VAR_DETAIL_MAPS)
        setting.map_layers.extend(range(first, last + 1))
        settings.append(setting)
    messages = yield _compare(question, settings)
    finished = _finished(messages, len(settings))
    responses = [message.response for message in messages if message.setting == on_setting]
    deltas = [response.delta for response in responses if response.delta.token_ids]
    return {
        "started": next(response.started for response in responses if response.HasField("started")),
        "off": finished[0],
        "on": finished[on_setting],
        "last_text": deltas[-1].text if deltas and len(deltas[-1].token_ids) == 1 else "",
        "bands": [Band(first, last, finished[on_setting + i].var_report.maps) for i, (first, last) in enumerate(bands)],
    }


def _ask_sinks(question: PictureQuestion, var: var_pb2.VarOptions, max_settings: int) -> Steps:
    sinks: dict[int, Sequence[var_pb2.VisualSink]] = {}
    for begin in range(var.first_layer, var.last_layer + 1, max_settings):
        layers = range(begin, min(begin + max_settings, var.last_layer + 1))
        settings = []
        for layer in layers:
            setting = var_pb2.VarOptions()
            setting.CopyFrom(var)
            setting.mode, setting.detail = var_pb2.VAR_MODE_OBSERVE, var_pb2.VAR_DETAIL_LAYERS
            setting.first_layer = setting.last_layer = layer
            settings.append(setting)
        finished = _finished((yield _compare(question, settings, max_tokens=1)), len(settings))
        for layer, one in zip(layers, finished, strict=True):
            sinks[layer] = one.var_report.visual_sinks
    return sinks


def _compare(question: PictureQuestion, settings: list[var_pb2.VarOptions], max_tokens: int | None = None) -> Request:
    options = pb.GenerateOptions()
    options.CopyFrom(question.options)
    if max_tokens is not None:
        options.max_tokens = max_tokens
    parts = [pb.Part(image=pb.Image(data=question.image)), pb.Part(text=question.question)]
    request = pb.GenerateRequest(messages=[pb.Message(role="ROLE_USER", parts=parts)], options=options)
    message = pb.CompareRequest(request=request, settings=settings)
    return Request("Compare", message, question.call, image_digest([question.image]))


def _on(var: var_pb2.VarOptions, detail: var_pb2.VarDetail) -> var_pb2.VarOptions:
    on = var_pb2.VarOptions()
    on.CopyFrom(var)
    on.mode, on.detail = var_pb2.VAR_MODE_ON, detail
    del on.map_layers[:]
    return on


def _finished(messages: list[pb.CompareResponse], settings: int) -> list[pb.Finished]:
    finished = {one.setting: one.response.finished for one in messages if one.response.HasField("finished")}
    if len(finished) != settings:
        raise InternalError("stream: the server ended it without a result")
    return [finished[i] for i in range(settings)]
