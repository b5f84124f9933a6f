"""GQA (Hudson and Manning, CVPR 2019)."""

from __future__ import annotations

import re

from varserve.evaluation.benchmark import SHORT_ANSWERS, Benchmark, Counts, Protocol, Question
from varserve.evaluation.data_folder import DataFolder
from varserve.evaluation.prompts import NO_INSTRUCTION, one_word


def load(folder: DataFolder, protocol: Protocol) -> list[Question]:
    questions = []
    for name, row in folder.json("testdev_balanced_questions.json").items():
        image = f"{row['imageId']}.jpg"
        kind = row.get("types", {}).get("structural", "all")
        text = protocol.ask(row["question"])
        questions.append(Question(name, (folder.image(image),), text, row["answer"], kind, image))
    return questions


def count(question: Question, text: str, protocol: Protocol) -> Counts:
    right = _plain(text) == _plain(question.truth)
    return {"questions": 1, "right": float(right), "words": len(text.split())}


def _plain(text: str) -> str:
    return re.sub(r"[^\w\s]", "", text.lower()).strip()


GQA = Benchmark(
    name="gqa",
    title="GQA",
    files="testdev_balanced_questions.json and the pictures (images)",
    protocols=(Protocol("official", one_word), Protocol("lmms-eval", one_word)),
    max_tokens=16,
    load=load,
    count=count,
    metrics=SHORT_ANSWERS,
    main="accuracy",
    notes=(NO_INSTRUCTION,),
)
