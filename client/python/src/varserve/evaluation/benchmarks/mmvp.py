"""MMVP (Tong et al., Eyes Wide Shut, CVPR 2024): pairs of pictures that CLIP takes for the same."""

from __future__ import annotations

import re
from collections.abc import Sequence

from varserve.evaluation.benchmark import Benchmark, Counts, Metric, Protocol, Question, ratio
from varserve.evaluation.choices import chosen_letter
from varserve.evaluation.data_folder import DataFolder
from varserve.evaluation.prompts import LETTER

# Swapped in the published file, see issue 30 of the MMVP repository; lmms-eval corrects them.
SWAPPED = {99, 100, 279, 280}


def load(folder: DataFolder, protocol: Protocol) -> list[Question]:
    questions = []
    for row in folder.rows("Questions.csv"):
        index = int(row["Index"])
        options = [option.strip() for option in re.split(r"\([a-z]\)", row["Options"]) if option.strip()]
        letter = re.sub(r"\W", "", row["Correct Answer"]).upper()
        if protocol.name == "lmms-eval" and index in SWAPPED:
            letter = {"A": "B", "B": "A"}[letter]
        questions.append(
            Question(
                id=str(index),
                images=(folder.image(f"MMVP Images/{index}.jpg"),),
                text=protocol.rule(row["Question"], row["Options"], options),
                truth=(letter, options),
                subset="all",
                unit=str((index - 1) // 2),
            )
        )
    return questions


def _official(question: str, options: str, _: Sequence[str]) -> str:
    return f"{question} {options}"


def _lmms_eval(question: str, _: str, options: Sequence[str]) -> str:
    lines = [f"{letter}. {option}" for letter, option in zip("ABCDEFGHIJ", options, strict=False)]
    return "\n".join([question, *lines]) + LETTER


def count(question: Question, text: str, protocol: Protocol) -> Counts:
    letter, options = question.truth
    said = chosen_letter(text, options)
    return {"questions": 1, "right": float(said == letter), "unread": float(not said)}


def count_unit(counted: Sequence[tuple[Question, Counts]]) -> Counts:
    return {"pairs": 1, "pairs_right": float(all(one["right"] for _, one in counted))}


MMVP = Benchmark(
    name="mmvp",
    title="MMVP",
    files="Questions.csv and the folder MMVP Images",
    protocols=(Protocol("official", rule=_official), Protocol("lmms-eval", rule=_lmms_eval)),
    max_tokens=64,
    load=load,
    count=count,
    count_unit=count_unit,
    metrics={
        "pairs": Metric(ratio("pairs_right", "pairs")),
        "accuracy": Metric(ratio("right", "questions")),
        "unread": Metric(ratio("unread", "questions"), lower_is_better=True),
    },
    main="pairs",
    notes=("The published script asks GPT-4 whether an answer is right; here its letter or its words count.",),
)
