"""MME (Fu et al., MME: A Comprehensive Evaluation Benchmark for Multimodal Large Language Models, 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from varserve.evaluation.benchmark import Array, Benchmark, Counts, Metric, Protocol, Question, share
from varserve.evaluation.data_folder import DataFolder
from varserve.evaluation.errors import EvaluationError
from varserve.evaluation.prompts import one_word
from varserve.evaluation.yes_no import YES_NO_METRICS, confusion, mme_answer

PERCEPTION = (
    *("existence", "count", "position", "color", "posters"),
    *("celebrity", "scene", "landmark", "artwork", "OCR"),
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
CATEGORIES = {"perception": PERCEPTION, "cognition": COGNITION}
INSTRUCTION = " Please answer yes or no."


def load(folder: DataFolder, protocol: Protocol) -> list[Question]:
    questions = []
    for subset in filter(folder.wants, CATEGORIES):
        for category in CATEGORIES[subset]:
            for path in _texts(folder.find(category)):
                image = folder.image(_beside(path))
                for i, line in enumerate(filter(None, path.read_text(encoding="utf-8").splitlines())):
                    question, answer = line.split("\t")
                    unit = f"{category}/{path.stem}"
                    truth = (category, answer.lower().strip().rstrip("."))
                    text = protocol.ask(question.strip())
                    questions.append(Question(f"{unit}/{i}", (image,), text, truth, subset, unit))
    return questions


def _texts(category: Path) -> list[Path]:
    texts = sorted(path for path in category.rglob("*.txt"))
    if not texts:
        raise EvaluationError(f"{category} has no .txt files with questions; {FILES}")
    return texts


def _beside(text: Path) -> str:
    """The picture of a file of questions: in its folder, or in the folder images beside."""
    for folder in (text.parent, text.parent.parent / "images"):
        for path in sorted(folder.glob(f"{text.stem}.*")):
            if path.suffix != ".txt":
                return str(path)
    return f"{text.stem}.jpg"


def count(question: Question, text: str, protocol: Protocol) -> Counts:
    category, truth = question.truth
    counts = confusion(mme_answer(text), truth)
    return counts | {f"right/{category}": counts["right"], f"questions/{category}": 1}


def count_unit(counted: Sequence[tuple[Question, Counts]]) -> Counts:
    """Accuracy+ wants both questions about a picture right."""
    category = counted[0][0].truth[0]
    return {f"both/{category}": float(all(one["right"] for _, one in counted)), f"pictures/{category}": 1}


def _score(sums: Mapping[str, Array]) -> Array:
    """The sum over categories of accuracy and accuracy+, in percent: at most 200 each."""
    total = np.zeros_like(sums["questions"])
    for category in (*PERCEPTION, *COGNITION):
        if f"questions/{category}" in sums:
            accuracy = share(sums[f"right/{category}"], sums[f"questions/{category}"])
            plus = share(sums[f"both/{category}"], sums[f"pictures/{category}"])
            total = total + 100 * np.nan_to_num(accuracy + plus)
    return total


def _lmms_eval(question: str) -> str:
    return one_word(question.replace(INSTRUCTION, ""))


FILES = "a folder for each category, such as existence, with pictures and .txt files of questions, as MME is released"
MME = Benchmark(
    name="mme",
    title="MME",
    files=FILES,
    protocols=(Protocol("official"), Protocol("lmms-eval", _lmms_eval)),
    max_tokens=16,
    load=load,
    count=count,
    count_unit=count_unit,
    metrics={"score": Metric(_score, unit=""), **YES_NO_METRICS},
    main="score",
    subsets=tuple(CATEGORIES),
)
