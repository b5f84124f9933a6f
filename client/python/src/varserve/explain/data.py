"""An explanation as the data that report.js reads: what client/explain/report_data.cc writes."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor

from varserve.images import media_type
from varserve.reply import enum_name
from varserve.v1 import inference_pb2 as pb
from varserve.v1 import intervention_pb2, var_pb2

if TYPE_CHECKING:
    from varserve.explain.explanation import Evidence
    from varserve.requests import PictureQuestion

Json = dict[str, Any]


def report_data(question: PictureQuestion, evidence: Evidence) -> Json:
    model = evidence.model
    image = base64.b64encode(question.image).decode()
    region = _region(evidence)
    return {
        "model": {"name": model.name, "device": model.device, "dtype": model.dtype},
        "image": f"data:{media_type(question.image)};base64,{image}",
        "question": question.question,
        "grid": {"rows": region.rows, "columns": region.columns},
        "thumbnail": {"rows": region.thumbnail_rows, "columns": region.thumbnail_columns},
        "region": {name: getattr(region, name) for name in ("left", "top", "right", "bottom")},
        "prompt_tokens": evidence.started.prompt_tokens,
        "visual_tokens": evidence.started.visual_tokens,
        "setting": _setting(evidence.setting),
        "off": _answer(evidence.off),
        "on": _answer(evidence.on),
        "totals": _totals(evidence.on),
        "steps": _steps(evidence),
        "bands": [_band(band) for band in evidence.bands],
        "layers": [_layer(layer, evidence.sinks.get(layer.layer, ())) for layer in _report(evidence.on).layers],
        "sinks_known": bool(evidence.sinks),
        "maps_truncated": _report(evidence.on).maps_truncated,
    }


def _report(finished: pb.Finished) -> Any:  # noqa: ANN401
    """VAR's or that of another method; empty without one."""
    return finished.var_report if finished.HasField("var_report") else finished.intervention_report


def _shares(report: Any) -> Json:  # noqa: ANN401 (of the whole, a layer or a token, of VAR or another method)
    shares = {"before": report.visual_attention_before, "after": report.visual_attention_after}
    if hasattr(report, "redistributed_attention"):
        shares["image_centric"] = report.image_centric_head_ratio
        shares["redistributed"] = report.redistributed_attention
    else:
        shares["changed_heads"] = report.changed_head_ratio
    return shares


def _totals(on: pb.Finished) -> Json:
    """Of the report that the setting has; empty without one."""
    totals: Json = {}
    if on.HasField("var_report"):
        report = on.var_report
        totals = _shares(report) | {
            "rows": report.eligible_rows,
            "visual_sinks": report.visual_sink_tokens,
            "text_sinks": report.text_sink_tokens,
            "distinct_visual_sinks": report.distinct_visual_sinks,
        }
    elif on.HasField("intervention_report"):
        totals = _shares(on.intervention_report) | {"rows": on.intervention_report.rows}
    if on.HasField("contrast_report"):
        for name in ("contrasted_tokens", "changed_tokens", "plausible_tokens"):
            totals[name] = getattr(on.contrast_report, name)
    return totals


def _answer(finished: pb.Finished) -> Json:
    return {
        "text": finished.text,
        "tokens": finished.usage.generated_tokens,
        "finish_reason": enum_name(pb.FinishReason, finished.finish_reason),
        "seconds": finished.timing.total_seconds,
    }


def _setting(setting: intervention_pb2.Intervention) -> list[Json]:
    """The method and the contrast, whichever are set, each with its options but for how much evidence there is."""
    return [
        {
            "method": method.name,
            "options": {
                field.name: _value(field, getattr(options, field.name))
                for field in options.DESCRIPTOR.fields
                if field.name not in ("mode", "detail", "map_layers")
            },
        }
        for method, options in setting.ListFields()
    ]


def _value(field: FieldDescriptor, value: Any) -> Any:  # noqa: ANN401
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else str(value)
    # A script's number cannot hold all integers of 64 bits.
    return str(value) if field.cpp_type == FieldDescriptor.CPPTYPE_UINT64 else value


def _region(evidence: Evidence) -> pb.ImageRegion:
    """The picture's; from an older server, all of it in the model's one grid."""
    regions = evidence.started.image_regions
    region = regions[0] if regions else pb.ImageRegion(right=1, bottom=1)
    if not region.rows:
        tower = evidence.model.vision_tower
        region.rows, region.columns = tower.rows, tower.columns
    return region


def _steps(evidence: Evidence) -> list[Json]:
    """One for each map: the row of attention that made the next token."""
    tokens = {token.position: token for token in _report(evidence.on).tokens}
    end = evidence.started.prompt_tokens + evidence.on.usage.generated_tokens
    steps = []
    for one in evidence.bands[0].maps if evidence.bands else ():
        row, following = tokens.get(one.position), tokens.get(one.position + 1)
        step = _shares(row) if row else {}
        if one.position + 1 >= end:
            step["token"] = None  # the end of the answer
        else:
            step["token"] = following.text if following else evidence.last_text
        steps.append(step)
    return steps


def _band(band: Any) -> Json:  # noqa: ANN401
    return {
        "first": band.first_layer,
        "last": band.last_layer,
    } | {
        name: [_millionths(getattr(one, name)) for one in band.maps]
        for name in ("before", "after", "thumbnail_before", "thumbnail_after")
    }


def _millionths(attention: Iterable[float]) -> list[int]:
    """Rounded, so that maps stay short."""
    return [round(1e6 * value) for value in attention]


def _layer(report: Any, sinks: Iterable[var_pb2.VisualSink]) -> Json:  # noqa: ANN401 (LayerReport or LayerAttention)
    layer = _shares(report) | {
        "layer": report.layer,
        "cells": _cells(sinks, in_thumbnail=False),
        "thumbnail_cells": _cells(sinks, in_thumbnail=True),
    }
    if hasattr(report, "visual_sink_tokens"):
        layer |= {"visual_sinks": report.visual_sink_tokens, "text_sinks": report.text_sink_tokens}
    return layer


def _cells(sinks: Iterable[var_pb2.VisualSink], *, in_thumbnail: bool) -> list[list[float]]:
    return [[sink.row, sink.column, sink.max_phi] for sink in sinks if sink.in_thumbnail == in_thumbnail]
