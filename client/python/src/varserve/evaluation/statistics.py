"""Metrics of a run, and how sure their differences are."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from varserve.evaluation.benchmark import Array, Benchmark, Counts, Question

RESAMPLES = 2000
BATCH = 100  # of them at a time, to bound memory
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Table:
    """Counts of one setting: one row for each unit."""

    names: Sequence[str]
    rows: Array  # [units, names]

    def sums(self, weights: Array) -> dict[str, Array]:
        """`weights` [B, units]: how often each unit was drawn. => [B] each"""
        totals = weights @ self.rows
        return {name: totals[:, i] for i, name in enumerate(self.names)}


@dataclass(frozen=True)
class Difference:
    """Of a metric, from the baseline to another setting, over the same questions."""

    value: float
    low: float  # of the interval, by drawing units again
    high: float


@dataclass(frozen=True)
class McNemar:
    """Questions that only one of two settings gets right, and how likely so uneven a split is by chance."""

    only_baseline: int
    only_other: int
    p_value: float


def count_table(benchmark: Benchmark, counted: Sequence[tuple[Question, Counts]]) -> Table:
    by_unit: dict[str, list[tuple[Question, Counts]]] = defaultdict(list)
    for question, counts in counted:
        by_unit[question.unit].append((question, counts))
    rows: list[Counts] = []
    for unit in by_unit.values():
        row: Counts = defaultdict(float)
        for counts in (*(counts for _, counts in unit), benchmark.count_unit(unit)):
            for name, value in counts.items():
                row[name] += value
        rows.append(row)
    names = sorted({name for row in rows for name in row})
    return Table(names, np.array([[row.get(name, 0.0) for name in names] for row in rows]))


def metrics(benchmark: Benchmark, table: Table) -> dict[str, float]:
    sums = table.sums(np.ones((1, len(table.rows))))
    return {name: float(metric.of(sums)[0]) for name, metric in benchmark.metrics.items()}


def differences(benchmark: Benchmark, baseline: Table, other: Table) -> dict[str, Difference]:
    """With a bootstrap of the units: questions about one picture are not independent."""
    units = len(baseline.rows)
    rng = np.random.default_rng(0)
    drawn: dict[str, list[Array]] = {name: [] for name in benchmark.metrics}
    for begin in range(0, RESAMPLES, BATCH):
        size = min(BATCH, RESAMPLES - begin)
        weights = rng.multinomial(units, np.full(units, 1 / units), size).astype(np.float64)
        before, after = baseline.sums(weights), other.sums(weights)
        for name, metric in benchmark.metrics.items():
            drawn[name].append(metric.of(after) - metric.of(before))
    before_all, after_all = metrics(benchmark, baseline), metrics(benchmark, other)
    result = {}
    for name, batches in drawn.items():
        values = np.concatenate(batches)
        values = values[~np.isnan(values)]
        tail = 100 * (1 - CONFIDENCE) / 2
        low, high = np.percentile(values, [tail, 100 - tail]) if len(values) else (math.nan, math.nan)
        result[name] = Difference(after_all[name] - before_all[name], float(low), float(high))
    return result


def mcnemar(right: Mapping[str, tuple[float, float]]) -> McNemar:
    """By question: how right the baseline and the other setting are. Exact, two-sided."""
    only_baseline = sum(one > other for one, other in right.values())
    only_other = sum(other > one for one, other in right.values())
    n, k = only_baseline + only_other, min(only_baseline, only_other)
    if n == 0:
        return McNemar(0, 0, 1.0)
    log_choices = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(k + 1)]
    p_value = min(1.0, 2 * sum(math.exp(choice - n * math.log(2)) for choice in log_choices))
    return McNemar(only_baseline, only_other, p_value)
