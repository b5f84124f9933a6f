"""MM-Vet (Yu et al., ICML 2024). GPT-4 judges its answers, so they are written as the file that its judge reads."""

from __future__ import annotations

from collections.abc import Sequence

from varserve.evaluation.benchmark import Benchmark, Counts, Metric, Protocol, Question, ratio
from varserve.evaluation.data_folder import DataFolder

STEP_BY_STEP = (
    "First please perform reasoning, and think step by step to provide best answer to the following question: \n\n"
)


def load(folder: DataFolder, protocol: Protocol) -> list[Question]:
    return [
        Question(name, (folder.image(row["imagename"]),), protocol.ask(row["question"]), None, "all", row["imagename"])
        for name, row in folder.json("mm-vet.json").items()
    ]


def count(question: Question, text: str, protocol: Protocol) -> Counts:
    return {"questions": 1, "words": len(text.split())}


def export(answers: Sequence[tuple[Question, str]]) -> dict[str, str]:
    return {question.id: text for question, text in answers}


MM_VET = Benchmark(
    name="mm-vet",
    title="MM-Vet",
    files="mm-vet.json and the folder images",
    protocols=(Protocol("official"), Protocol("lmms-eval", lambda question: STEP_BY_STEP + question)),
    max_tokens=512,
    load=load,
    count=count,
    metrics={"words": Metric(ratio("words", "questions"), unit="")},
    main="words",
    export=export,
    notes=("Its score needs GPT-4: give the written file of answers to MM-Vet's own judge.",),
)
