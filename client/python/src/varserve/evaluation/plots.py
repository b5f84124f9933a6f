"""Results as pictures: what differs from the baseline with its interval, and attention on the picture by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from varserve.evaluation.benchmarks import BENCHMARKS
from varserve.evaluation.errors import EvaluationError
from varserve.evaluation.results import Results, Row
from varserve.evaluation.tables import shown_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


LEAST_POINTS = 1.0  # percentage points; of metrics that are not percentages, 0.01


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Two SVG files at most: NAME-PROTOCOL-MODEL.differences.svg and .attention.svg. Those with nothing to show are
    left out. All are of all subsets together."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise EvaluationError("--plots needs matplotlib: pip install './client/python[plots]' in the clone") from None
    header = results.header
    title = f"{BENCHMARKS[header.benchmark].title}, {header.model}, protocol {header.protocol}"
    name = f"{header.benchmark}-{header.protocol}-{header.model}".replace("/", "_")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, draw in (("differences", _draw_differences), ("attention", _draw_attention)):
        figure = Figure(layout="constrained")
        if draw(figure, results):
            figure.suptitle(title)
            written.append(folder / f"{name}.{kind}.svg")
            figure.savefig(written[-1])
    return written


def _rows(results: Results) -> Sequence[Row]:
    """Of all subsets together."""
    return results.rows[-len(results.header.settings) :]


def _draw_differences(figure: Figure, results: Results) -> bool:
    """One column for each metric, one line for each setting, with the 95 % interval."""
    others = [row for row in _rows(results) if row.differences is not None]
    if not others:
        return False
    benchmark = BENCHMARKS[results.header.benchmark]
    names = shown_metrics(benchmark)
    figure.set_size_inches(3 + 3 * len(names), 1.6 + 0.4 * len(others))
    columns = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(columns, names, strict=True):
        percent = benchmark.metrics[name].unit == "%"
        scale = 100 if percent else 1
        axes.axvline(0, color="0.6", linewidth=1)
        for place, row in enumerate(others):
            one = row.differences[name] if row.differences else None
            if one is None or math.isnan(one.value):
                continue
            axes.plot(scale * one.value, place, "o", color="C0")
            if not math.isnan(one.low):
                axes.plot([scale * one.low, scale * one.high], [place, place], color="C0")
        axes.set_xlabel(f"{name}, points" if percent else name)
        least = LEAST_POINTS if percent else LEAST_POINTS / 100
        axes.set_xlim(_with_least(axes.get_xlim(), least))
    columns[0].set_yticks(range(len(others)), [row.setting for row in others])
    columns[0].set_ylim(len(others) - 0.5, -0.5)
    figure.supxlabel(f"difference from {results.baseline}, with 95 % interval", fontsize="medium")
    return True


def _draw_attention(figure: Figure, results: Results) -> bool:
    """Attention on the picture before and after, and what changed, by layer."""
    measured = [(row.setting, row.attention) for row in _rows(results) if row.attention is not None]
    if not measured:
        return False
    figure.set_size_inches(10, 4)
    whole, change = figure.subplots(1, 2)
    for i, (setting, attention) in enumerate(measured):
        layers = sorted(attention.layers)
        before = [attention.layers[layer][0] for layer in layers]
        after = [attention.layers[layer][1] for layer in layers]
        color = f"C{i}"
        _line(whole, layers, before, color, "--", None)
        _line(whole, layers, after, color, "-", setting)
        _line(change, layers, [b - a for a, b in zip(before, after, strict=True)], color, "-", None)
    change.set_ylim(_with_least(change.get_ylim(), LEAST_POINTS))
    whole.set_ylabel("attention on the picture, %; dashed: before")
    change.set_ylabel("change, points")
    for axes in (whole, change):
        axes.set_xlabel("layer")
    whole.legend()
    return True


def _with_least(limits: tuple[float, float], least: float) -> tuple[float, float]:
    """An axis of differences reaches at least this far, so that nothing but noise around 0 does not look like much."""
    low, high = limits
    return (-least, least) if max(-low, high) < least else limits


def _line(axes: Axes, layers: list[int], shares: list[float], color: str, style: str, label: str | None) -> None:
    axes.plot(layers, [100 * share for share in shares], style, color=color, label=label, marker=".")
