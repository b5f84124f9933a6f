"""Intervals and tests, against numbers that can be had otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from varserve.evaluation.benchmarks import BENCHMARKS
from varserve.evaluation.statistics import Table, differences, mcnemar

POPE = BENCHMARKS["pope"]


def table(right: np.ndarray) -> Table:
    """One question a unit, all about what is not there."""
    ones, zeros = np.ones(len(right)), np.zeros(len(right))
    columns = {"questions": ones, "right": right, "tp": zeros, "fp": 1 - right, "tn": right, "p": zeros, "n": ones}
    columns |= {"yes": 1 - right, "other": zeros, "fn": zeros}
    return Table(list(columns), np.stack(list(columns.values()), axis=1))


def test_the_interval_of_a_difference_is_that_of_its_normal_approximation() -> None:
    rng = np.random.default_rng(1)
    before, after = (rng.random(2000) < 0.8).astype(float), (rng.random(2000) < 0.83).astype(float)
    found = differences(POPE, table(before), table(after))["accuracy"]
    error = 1.96 * np.std(after - before) / np.sqrt(2000)
    assert found.value == pytest.approx((after - before).mean())
    assert (found.low, found.high) == pytest.approx((found.value - error, found.value + error), abs=0.1 * error)


def test_equal_answers_differ_by_nothing() -> None:
    right = np.array([1.0, 0.0, 1.0, 1.0])
    found = differences(POPE, table(right), table(right))
    assert (found["accuracy"].low, found["accuracy"].high) == (0, 0)
    assert np.isnan(found["recall"].value)  # nothing to recall


@pytest.mark.parametrize(
    ("worse", "better", "p_value"),
    [(0, 0, 1), (1, 0, 1), (5, 5, 1), (0, 6, 0.03125), (2, 10, 0.0385742), (30, 60, 0.0020603), (900, 1000, 0.0231088)],
)
def test_mcnemar_is_the_exact_binomial_test(worse: int, better: int, p_value: float) -> None:
    pairs = [(1.0, 0.0)] * worse + [(0.0, 1.0)] * better + [(1.0, 1.0)] * 7
    found = mcnemar({str(i): pair for i, pair in enumerate(pairs)})
    assert (found.only_baseline, found.only_other) == (worse, better)
    assert found.p_value == pytest.approx(p_value, rel=1e-3)
