"""Panels drawn with matplotlib from what Prometheus answers, in the dashboard's own layout."""

from __future__ import annotations

import dataclasses
import io
import math
import pathlib

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from PIL import Image

from queries import Panel, Query, load_dashboard, panels
from stack import Prometheus

COLUMNS, INCH_PER_COLUMN, INCH_PER_ROW = 24, 0.62, 0.28
COLORS = 128  # of the picture's palette; keeps the files small


@dataclasses.dataclass(frozen=True)
class Source:
    prometheus: Prometheus
    model: str
    start: float
    end: float

    def lines(self, query: Query) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """Label, seconds from the start, values; of each series that has any."""
        found = self.prometheus.query_range(query.filled(self.model, rate_interval="10s"), self.start, self.end, 1)
        result = []
        for entry in found:
            times, values = np.array(entry["values"]).T
            if not np.isnan(values).all():
                result.append((query.label(entry["metric"]), times - self.start, values))
        return result

    def numbers(self, query: Query) -> list[dict]:
        text = query.filled(self.model, span=f"{math.ceil(self.end - self.start) + 30}s")
        return [entry for entry in self.prometheus.query(text, self.end) if not math.isnan(entry["value"])]


def text_of(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.3g} s"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    suffix = {"reqps": " req/s", "short": ""}.get(unit, unit.removeprefix("suffix:"))
    return f"{value:,.0f}{suffix}" if abs(value) >= 1000 else f"{value:.3g}{suffix}"


def draw(name: str, source: Source, path: pathlib.Path) -> None:
    board = load_dashboard(name)
    rows = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in board["panels"]) + 3
    figure = plt.figure(figsize=(COLUMNS * INCH_PER_COLUMN, rows * INCH_PER_ROW), dpi=88, facecolor="#f4f5f5")

    def place(position: dict[str, int], margins: tuple[float, float, float, float]) -> list[float]:
        left, bottom, right, top = margins  # in columns and rows
        width, height = position["w"] - left - right, position["h"] - bottom - top
        y = rows - 2 - position["y"] - position["h"] + bottom
        return [(position["x"] + left) / COLUMNS, y / rows, width / COLUMNS, height / rows]

    figure.text(0.01, 1 - 1 / rows, board["title"], fontsize=15, weight="bold", va="center")
    note = (
        "A rendering of the panels' queries, answered by Prometheus, by ./dev observe --render. "
        "Grafana draws them otherwise."
    )
    figure.text(0.99, 1 - 1 / rows, note, fontsize=9, color="#666", ha="right", va="center")
    for row in (panel for panel in board["panels"] if panel["type"] == "row"):
        x, y, _, height = place(row["gridPos"], (0.25, 0, 0, 0))
        figure.text(x, y + height / 2, row["title"], fontsize=11, weight="bold", color="#444", va="center")
    for panel in panels(name):
        figure.add_artist(_box(place(panel.position, (0.1, 0.15, 0.1, 0.15)), figure))
        margins = (0.3, 0.3, 0.3, 1.2) if panel.type == "stat" else (1.5, 1.1, 0.45, 1.5)
        axes = figure.add_axes(place(panel.position, margins))
        _PAINTERS[panel.type](axes, panel, source)
        axes.set_title(panel.title, fontsize=8.5, loc="left", weight="bold")
    data = io.BytesIO()
    figure.savefig(data, format="png", facecolor=figure.get_facecolor())
    plt.close(figure)
    Image.open(data).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)


def _box(position: list[float], figure: Figure) -> plt.Rectangle:
    x, y, width, height = position
    return plt.Rectangle(
        (x, y), width, height, facecolor="white", edgecolor="#ddd", transform=figure.transFigure, zorder=-1
    )


def _style(axes: Axes, unit: str) -> None:
    axes.tick_params(labelsize=7, length=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#eee")
    axes.set_axisbelow(True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text_of(value, unit)))
    axes.yaxis.get_offset_text().set_visible(False)


def _seconds(axes: Axes, source: Source) -> None:
    axes.set_xlim(0, source.end - source.start)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} s"))


def _timeseries(axes: Axes, panel: Panel, source: Source) -> None:
    lines = [line for query in panel.queries for line in source.lines(query)]
    if panel.stacked and lines:
        times = np.unique(np.concatenate([t for _, t, _ in lines]))
        values = [np.nan_to_num(np.interp(times, t, np.nan_to_num(v), left=0, right=0)) for _, t, v in lines]
        axes.stackplot(times, values, labels=[label for label, _, _ in lines], alpha=0.75)
    else:
        for label, times, values in lines:
            axes.plot(times, values, label=label, linewidth=1.2)
    low, high = axes.get_ylim()
    if panel.from_zero:
        low, high = 0, high if any(np.nanmax(values) > 0 for _, _, values in lines) else 1
    axes.set_ylim(low - 0.01 * (high - low), high + 0.25 * (high - low))  # room for the legend
    _style(axes, panel.unit)
    _seconds(axes, source)
    if lines:
        axes.legend(fontsize=6, loc="upper left", frameon=True, framealpha=0.7, ncols=2 if len(lines) > 3 else 1)


def _stat(axes: Axes, panel: Panel, source: Source) -> None:
    axes.axis("off")
    found = source.numbers(panel.queries[0])
    text = text_of(found[0]["value"], panel.unit) if found else "no traffic"
    axes.text(0.5, 0.42, text, fontsize=17, ha="center", va="center", color="#1a7f37", transform=axes.transAxes)


def _barchart(axes: Axes, panel: Panel, source: Source) -> None:
    groups = sorted({e["metric"][panel.x_label] for query in panel.queries for e in source.numbers(query)})
    width = 0.8 / len(panel.queries)
    for index, query in enumerate(panel.queries):
        values = {e["metric"][panel.x_label]: e["value"] for e in source.numbers(query)}
        places = np.arange(len(groups)) + (index - (len(panel.queries) - 1) / 2) * width
        axes.bar(places, [values.get(group, 0) for group in groups], width, label=query.legend)
    shown = range(0, len(groups), 1 if len(groups) < 12 else 3)
    axes.set_xticks(list(shown), [groups[i] for i in shown])
    _style(axes, panel.unit)
    axes.legend(fontsize=6, loc="upper left", frameon=True, framealpha=0.7)


def _heatmap(axes: Axes, panel: Panel, source: Source) -> None:
    query = panel.queries[0]
    lines = source.lines(query)
    buckets = query.legend == "{{le}}"
    if buckets:
        lines.sort(key=lambda line: float(line[0]))
    times = lines[0][1]
    grid = np.array([np.interp(times, t, np.nan_to_num(v)) for _, t, v in lines])
    labels = [label for label, _, _ in lines]
    if buckets:  # cumulative; empty ones at the top are left out
        grid = np.diff(grid, axis=0, prepend=0).clip(min=0)
        used = np.flatnonzero(grid.max(axis=1) > 1e-9)
        grid, labels = grid[: used[-1] + 2], labels[: used[-1] + 2]
        labels = [f"≤ {text_of(float(label), panel.unit)}" if label != "+Inf" else "more" for label in labels]
    mesh = axes.pcolormesh(
        times, np.arange(len(labels)), grid, cmap="Oranges", norm=PowerNorm(0.5, vmin=0), shading="nearest"
    )
    step = math.ceil(len(labels) / 10)
    axes.set_yticks(range(0, len(labels), step), labels[::step])
    axes.tick_params(labelsize=7, length=2)
    _seconds(axes, source)
    unit = "short" if buckets else panel.unit
    bar = axes.figure.colorbar(
        mesh, ax=axes, pad=0.01, fraction=0.05, format=FuncFormatter(lambda v, _: text_of(v, unit))
    )
    bar.ax.tick_params(labelsize=6, length=2)


_PAINTERS = {"timeseries": _timeseries, "stat": _stat, "barchart": _barchart, "heatmap": _heatmap}
