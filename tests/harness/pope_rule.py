"""How POPE itself reads an answer, for lmms-eval: a task's process_results."""

from __future__ import annotations

import re

METRICS = ("accuracy", "precision", "recall", "f1_score", "yes_ratio")


def read(answer: str) -> str:
    words = re.split(r"\s+", answer.split(".")[0].replace(",", ""))
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def process_results(doc: dict, results: list[str]) -> dict:
    prediction = read(results[0])
    row = {
        "question_id": doc["question_id"],
        "score": float(prediction == doc["answer"]),
        "prediction": prediction,
        "ground_truth": doc["answer"],
    }
    return {f"pope_{metric}": row for metric in METRICS}
