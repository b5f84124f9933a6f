"""POPE (Li et al., Evaluating Object Hallucination in Large Vision-Language Models, EMNLP 2023)."""

from __future__ import annotations

from varserve.evaluation.benchmark import Benchmark, Counts, Protocol, Question
from varserve.evaluation.data_folder import DataFolder
from varserve.evaluation.prompts import one_word
from varserve.evaluation.yes_no import YES_NO_METRICS, confusion, exact_answer, pope_answer

SUBSETS = ("random", "popular", "adversarial")


def load(folder: DataFolder, protocol: Protocol) -> list[Question]:
    return [
        Question(
            id=f"{subset}/{row['question_id']}",
            images=(folder.image(row["image"]),),
            text=protocol.ask(row["text"].strip()),
            truth=row["label"],
            subset=subset,
            unit=row["image"],
        )
        for subset in filter(folder.wants, SUBSETS)
        for row in folder.json_lines(f"coco_pope_{subset}.json", f"*_pope_{subset}.json", f"*_pope_seem_{subset}.json")
    ]


def count(question: Question, text: str, protocol: Protocol) -> Counts:
    return confusion(protocol.rule(text), question.truth)


POPE = Benchmark(
    name="pope",
    title="POPE",
    files="coco_pope_random.json, coco_pope_popular.json, coco_pope_adversarial.json, and the pictures (COCO val2014)",
    protocols=(
        Protocol("official", rule=pope_answer),
        Protocol("lmms-eval", one_word, exact_answer),
    ),
    max_tokens=128,
    load=load,
    count=count,
    metrics=YES_NO_METRICS,
    main="F1",
    subsets=SUBSETS,
    notes=("The yes-rate is that of the answers; lmms-eval's yes_ratio is that of the truth.",),
)
