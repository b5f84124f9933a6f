"""Results for people, as Markdown tables, and for programs, as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from varserve.evaluation.benchmark import Benchmark, Metric
from varserve.evaluation.benchmarks import BENCHMARKS
from varserve.evaluation.results import Results, Row
from varserve.evaluation.statistics import Difference

COLUMNS = (
    *("benchmark", "protocol", "model", "subset", "setting", "questions", "metric", "value"),
    *("baseline", "difference", "low", "high"),
)

PAPER_METRICS = {"chair": ("CHAIR_s", "CHAIR_i")}  # where they are not the main one alone


def markdown(results: Results) -> str:
    benchmark = BENCHMARKS[results.header.benchmark]
    header = results.header
    parts = [
        f"## {benchmark.title}, {header.model}, protocol {header.protocol}",
        _metrics(benchmark, results),
        _differences(benchmark, results),
        _attention(results),
    ]
    parts.append("\n".join(f"- {note}" for note in benchmark.notes))
    return "\n\n".join(filter(None, parts)) + "\n"


def _metrics(benchmark: Benchmark, results: Results) -> str:
    names = [name for name in benchmark.metrics if any(row.metrics[name] is not None for row in results.rows)]
    rows = []
    for row in results.rows:
        values = [_value(benchmark.metrics[name], row.metrics[name]) for name in names]
        rows.append([row.subset, row.setting, str(row.questions), *values, f"{row.tokens:.1f}", f"{row.cut:.1%}"])
    return _table(["subset", "setting", "questions", *names, "tokens", "cut"], rows)


def _differences(benchmark: Benchmark, results: Results) -> str:
    rows = []
    for row in results.rows:
        if row.differences is None:
            continue
        cells = [_difference(benchmark.metrics[name], row.differences[name]) for name in shown_metrics(benchmark)]
        if row.mcnemar is None:
            rows.append([row.subset, row.setting, *cells, "", "", ""])
        else:
            test = row.mcnemar
            counts = [str(test.only_baseline), str(test.only_other)]
            rows.append([row.subset, row.setting, *cells, *counts, f"{test.p_value:.2g}"])
    if not rows:
        return ""
    names = [f"{name} [95 %]" for name in shown_metrics(benchmark)]
    title = f"Difference from {results.baseline}, over the same questions:\n\n"
    return title + _table(["subset", "setting", *names, "worse", "better", "McNemar p"], rows)


def shown_metrics(benchmark: Benchmark) -> list[str]:
    """The main metric and two more."""
    return list(dict.fromkeys([benchmark.main, *benchmark.metrics]))[:3]


def _attention(results: Results) -> str:
    """Of all questions."""
    rows = []
    for row in results.rows[-len(results.header.settings) :]:
        if row.attention is not None:
            shares = (row.attention.before, row.attention.after, row.attention.moved)
            rows.append([row.setting, *(f"{share:.2%}" for share in shares)])
    if not rows:
        return ""
    title = "Attention on the picture, mean over answers, layers and heads:\n\n"
    return title + _table(["setting", "before", "after", "moved"], rows)


def _value(metric: Metric, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if metric.unit == "%" else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def _difference(metric: Metric, difference: Difference) -> str:
    if math.isnan(difference.value) or math.isnan(difference.low):
        return "-"
    scale, digits = (100, 1) if metric.unit == "%" else (1, 3)
    value, low, high = (f"{scale * one:+.{digits}f}" for one in (difference.value, difference.low, difference.high))
    return f"{value} [{low}, {high}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (head, *rows)
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def comma_separated(all_results: Sequence[Results]) -> str:
    """One line for each metric of each setting and subset; attention by layer is a metric, too."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for results in all_results:
        header = results.header
        for row in results.rows:
            start = (header.benchmark, header.protocol, header.model, row.subset, row.setting, row.questions)
            for name, value in row.metrics.items():
                difference = (row.differences or {}).get(name)
                ends = ("", "", "", "") if difference is None else (results.baseline, *_numbers(difference))
                writer.writerow([*start, name, "" if value is None else value, *ends])
            for name, value in _attention_values(row):
                writer.writerow([*start, name, value, "", "", "", ""])
    return file.getvalue()


def _numbers(difference: Difference) -> tuple[float, float, float]:
    return difference.value, difference.low, difference.high


def _attention_values(row: Row) -> list[tuple[str, float]]:
    values = [("tokens", row.tokens), ("cut", row.cut)]
    if row.mcnemar is not None:
        values.append(("McNemar p", row.mcnemar.p_value))
    if row.attention is not None:
        for layer, (before, after, moved) in row.attention.layers.items():
            values += [
                (f"{name} layer {layer}", value) for name, value in zip(_LAYER, (before, after, moved), strict=True)
            ]
    return values


_LAYER = ("attention before", "attention after", "attention moved")


def paper(all_results: Sequence[Results]) -> str:
    """The kinds of tasks of the VAR paper, each with the preset it takes for them. What was not run says so."""
    kinds = {
        "General vision-language tasks": ("general", ("vqav2", "gqa", "vizwiz", "textvqa", "mme")),
        "Visual hallucination tasks": ("hallucination", ("pope", "chair")),
        "Vision-centric tasks": ("vision_centric", ("mmvp", "cv-bench")),
    }
    by_protocol = sorted(all_results, key=lambda results: results.header.protocol != "official")  # that first
    models = list(dict.fromkeys(results.header.model for results in all_results)) or ["(no model)"]
    parts = []
    for title, (preset, names) in kinds.items():
        columns = [
            (name, subset, metric)
            for name in names
            for subset in BENCHMARKS[name].subsets or ("",)
            for metric in PAPER_METRICS.get(name, (BENCHMARKS[name].main,))
        ]
        head = ["model", *(_paper_title(*column) for column in columns)]
        rows = []
        for model in models:
            for label, setting in ((model, "off"), (f"{model} + VAR", f"on:preset={preset}")):
                rows.append([label, *(_paper_cell(by_protocol, model, setting, *column) for column in columns)])
        parts.append(f"## {title}\n\n{_table(head, rows)}")
    return "\n\n".join(parts) + "\n"


def _paper_title(name: str, subset: str, metric: str) -> str:
    title = BENCHMARKS[name].title
    return metric if metric.startswith(title) else " ".join(filter(None, (title, subset, metric)))


def _paper_cell(all_results: Sequence[Results], model: str, setting: str, name: str, subset: str, metric: str) -> str:
    for results in all_results:
        if (results.header.model, results.header.benchmark) != (model, name):
            continue
        for row in results.rows:
            if row.setting == setting and (row.subset == subset or not subset):
                return _value(BENCHMARKS[name].metrics[metric], row.metrics[metric])
    return "not run"
