"""The results of one run, as they are kept in a JSON file and shown."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from varserve.evaluation.answers_file import Answer, Header
from varserve.evaluation.benchmark import Benchmark, Counts, Protocol, Question
from varserve.evaluation.errors import EvaluationError
from varserve.evaluation.statistics import Difference, McNemar, count_table, differences, mcnemar, metrics

ALL = "all"


@dataclass(frozen=True)
class Attention:
    """Attention on the picture before and after VAR, and attention moved: means over answers, of all and by layer."""

    before: float
    after: float
    moved: float
    layers: Mapping[int, tuple[float, float, float]]


@dataclass(frozen=True)
class Row:
    """One setting on one subset of a benchmark. Shares are in [0, 1]; what has no value is None."""

    subset: str
    setting: str
    questions: int
    metrics: Mapping[str, float | None]
    tokens: float  # mean of an answer
    cut: float  # share of answers that max_tokens ended
    differences: Mapping[str, Difference] | None  # None: the baseline
    mcnemar: McNemar | None
    attention: Attention | None  # None with VAR off


@dataclass(frozen=True)
class Results:
    header: Header
    baseline: str
    rows: Sequence[Row]


def evaluate(
    benchmark: Benchmark,
    protocol: Protocol,
    header: Header,
    questions: Sequence[Question],
    answers: Mapping[str, Sequence[Answer]],
    baseline: str,
) -> Results:
    found = {question.subset for question in questions}
    subsets = [subset for subset in benchmark.subsets if subset in found] or sorted(found)
    counts = {
        question.id: [benchmark.count(question, answer.text, protocol) for answer in answers[question.id]]
        for question in questions
    }
    rows: list[Row] = []
    for subset in subsets if len(subsets) == 1 else [*subsets, ALL]:
        some = [question for question in questions if subset in (ALL, question.subset)]
        rows += _rows(benchmark, header, some, answers, counts, baseline, subset)
    return Results(header, baseline, rows)


def _rows(
    benchmark: Benchmark,
    header: Header,
    questions: Sequence[Question],
    answers: Mapping[str, Sequence[Answer]],
    counts: Mapping[str, Sequence[Counts]],
    baseline: str,
    subset: str,
) -> list[Row]:
    """`answers` and `counts`: of each question under each setting."""
    settings = range(len(header.settings))
    by_setting = [[answers[question.id][i] for question in questions] for i in settings]
    tables = [count_table(benchmark, [(question, counts[question.id][i]) for question in questions]) for i in settings]
    base = header.settings.index(baseline)
    rows = []
    for i, setting in enumerate(header.settings):
        pairs = {
            question.id: (before, counts[question.id][i]["right"])
            for question in questions
            if (before := counts[question.id][base].get("right")) is not None
        }
        values = metrics(benchmark, tables[i])
        rows.append(
            Row(
                subset=subset,
                setting=setting,
                questions=len(questions),
                metrics={name: None if math.isnan(value) else value for name, value in values.items()},
                tokens=sum(answer.tokens for answer in by_setting[i]) / len(questions),
                cut=sum(answer.finish == "length" for answer in by_setting[i]) / len(questions),
                differences=None if i == base else differences(benchmark, tables[base], tables[i]),
                mcnemar=None if i == base or not pairs else mcnemar(pairs),
                attention=_attention(by_setting[i]),
            )
        )
    return rows


def _attention(answers: Sequence[Answer]) -> Attention | None:
    measured = [answer.layers for answer in answers if answer.layers is not None]
    if not measured:
        return None
    layers = {layer: _mean([one[layer] for one in measured]) for layer in measured[0]}
    before, after, moved = _mean(list(layers.values()))
    return Attention(before, after, moved, layers)


def _mean(triples: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    first, second, third = (sum(column) / len(triples) for column in zip(*triples, strict=True))
    return first, second, third


def write_results(path: Path, results: Results) -> None:
    path.write_text(json.dumps(_plain(asdict(results)), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_results(path: Path) -> Results:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Results(Header(**data["header"]), data["baseline"], [_row(row) for row in data["rows"]])
    except (ValueError, KeyError, TypeError):
        raise EvaluationError(f"{path} is not a file of results of this version of varserve-eval") from None


def _plain(value: Any) -> Any:  # noqa: ANN401 (JSON has no NaN)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _row(data: dict[str, Any]) -> Row:
    if data["differences"] is not None:
        data["differences"] = {
            name: Difference(*(math.nan if one[key] is None else one[key] for key in ("value", "low", "high")))
            for name, one in data["differences"].items()
        }
    if data["mcnemar"] is not None:
        data["mcnemar"] = McNemar(**data["mcnemar"])
    if (attention := data["attention"]) is not None:
        layers = {int(layer): tuple(values) for layer, values in attention["layers"].items()}
        data["attention"] = Attention(attention["before"], attention["after"], attention["moved"], layers)
    return Row(**data)
