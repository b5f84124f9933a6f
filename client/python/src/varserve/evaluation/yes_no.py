"""Yes/no questions: how answers are read, and the metrics of a confusion table."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from varserve.evaluation.benchmark import Array, Counts, Metric, ratio, share


def pope_answer(text: str) -> str:
    """POPE's own rule: "no" if the first sentence has the word no or not, else "yes"."""
    words = text.split(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def exact_answer(text: str) -> str:
    """lmms-eval's rule for POPE: nothing but the word; "Yes." is neither."""
    word = text.lower().strip()
    return word if word in ("yes", "no") else "other"


def mme_answer(text: str) -> str:
    """MME's own rule: the word or its letter alone, else what the first four characters have."""
    text = text.lower().strip().replace(".", "")
    if text in ("yes", "y"):
        return "yes"
    if text in ("no", "n"):
        return "no"
    start = text[:4] if len(text) > 1 else ""
    return "yes" if "yes" in start else "no" if "no" in start else "other"


def first_answer(text: str) -> str:
    """The first word yes or no."""
    found = re.search(r"\b(yes|no)\b", text.lower())
    return found[1] if found else "other"


def confusion(said: str, truth: str, positive: str = "yes") -> Counts:
    """What is neither yes nor no is wrong: a miss where `positive` is true, never a false alarm."""
    is_true, is_said = truth == positive, said == positive
    right = said == truth
    return {
        "questions": 1,
        "right": float(right),
        "tp": float(is_true and is_said),
        "fp": float(not is_true and is_said),
        "tn": float(not is_true and right),
        "fn": float(is_true and said in ("yes", "no") and not right),
        "p": float(is_true),
        "n": float(not is_true),
        "yes": float(said == "yes"),
        "other": float(said == "other"),
    }


def _f1(sums: Mapping[str, Array]) -> Array:
    return share(2 * sums["tp"], sums["tp"] + sums["fp"] + sums["p"])


def _mcc(sums: Mapping[str, Array]) -> Array:
    """Matthews' correlation, of what is yes or no."""
    tp, fp, tn, fn = (sums[name] for name in ("tp", "fp", "tn", "fn"))
    return share(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


YES_NO_METRICS: Mapping[str, Metric] = {
    "accuracy": Metric(ratio("right", "questions")),
    "precision": Metric(lambda sums: share(sums["tp"], sums["tp"] + sums["fp"])),
    "recall": Metric(ratio("tp", "p")),
    "F1": Metric(_f1),
    "FPR": Metric(ratio("fp", "n"), lower_is_better=True),
    "MCC": Metric(_mcc, unit=""),
    "yes-rate": Metric(ratio("yes", "questions")),
    "neither": Metric(ratio("other", "questions"), lower_is_better=True),
}
