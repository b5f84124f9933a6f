"""What a benchmark is: questions with what is true, a rule for answers, and metrics of the counts.

Every metric is a function of summed counts. So one table of counts, a row for each unit of questions that belong
together (such as all about one image), gives the metrics, and their intervals by drawing rows again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from varserve.evaluation.data_folder import DataFolder

Array = npt.NDArray[np.float64]
Counts = dict[str, float]  # of one answer, or of one unit


@dataclass(frozen=True)
class Question:
    id: str
    images: tuple[Path, ...]
    text: str  # as it is sent
    truth: Any  # what `count` compares with
    subset: str  # metrics are given for each subset and for all
    unit: str  # questions of one unit are drawn together


@dataclass(frozen=True)
class Protocol:
    """How one harness asks and reads answers."""

    name: str
    ask: Callable[[str], str] = str  # the benchmark's text -> the prompt
    rule: Any = None  # how answers are read, if protocols differ there


@dataclass(frozen=True)
class Metric:
    of: Callable[[Mapping[str, Array]], Array]  # of sums of counts
    unit: str = "%"  # or ""; what is a share is shown as percent
    lower_is_better: bool = False


def share(part: Array, whole: Array) -> Array:
    """NaN where there is nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(part / whole, np.float64)


def ratio(part: str, whole: str) -> Callable[[Mapping[str, Array]], Array]:
    return lambda sums: share(sums[part], sums[whole])


# Of short answers: "right" and "words" counted over "questions".
SHORT_ANSWERS = {"accuracy": Metric(ratio("right", "questions")), "words": Metric(ratio("words", "questions"), unit="")}


def no_unit_counts(counted: Sequence[tuple[Question, Counts]]) -> Counts:
    return {}


@dataclass(frozen=True)
class Benchmark:
    name: str
    title: str
    files: str  # which official files `load` reads, for --help and docs
    protocols: tuple[Protocol, ...]  # the first is the default
    max_tokens: int
    load: Callable[[DataFolder, Protocol], list[Question]]
    # An answer's counts. "right", 0 to 1, is what answers under two settings are compared by.
    count: Callable[[Question, str, Protocol], Counts]
    metrics: Mapping[str, Metric]
    main: str  # the metric that summaries show
    count_unit: Callable[[Sequence[tuple[Question, Counts]]], Counts] = no_unit_counts
    subsets: tuple[str, ...] = ()  # in the order they are shown; empty: as they come
    export: Callable[[Sequence[tuple[Question, str]]], Any] | None = None  # a file for a judge elsewhere
    notes: Sequence[str] = field(default=())  # in what this differs from the published script

    def protocol(self, name: str | None) -> Protocol:
        for protocol in self.protocols:
            if name in (None, protocol.name):
                return protocol
        known = ", ".join(protocol.name for protocol in self.protocols)
        raise KeyError(f"{self.name} has no protocol {name}; there are {known}")
