"""CV-Bench (Tong et al., Cambrian-1, 2024)."""

from __future__ import annotations

from collections.abc import Mapping

from varserve.evaluation.benchmark import Array, Benchmark, Counts, Metric, Protocol, Question, ratio, share
from varserve.evaluation.choices import chosen_letter
from varserve.evaluation.data_folder import DataFolder
from varserve.evaluation.prompts import LETTER


def load(folder: DataFolder, protocol: Protocol) -> list[Question]:
    return [
        Question(
            id=f"{subset}/{row['idx']}",
            images=(folder.image(row["filename"]),),
            text=protocol.rule(row["prompt"], len(row["choices"])),
            truth=(row["answer"].strip("()"), row["choices"], row["source"]),
            subset=subset,
            unit=row["filename"],
        )
        for subset in filter(folder.wants, ("2D", "3D"))
        for row in folder.json_lines(f"test_{subset.lower()}.jsonl")
    ]


def _official(prompt: str, _: int) -> str:
    return prompt + LETTER


def _lmms_eval(prompt: str, choices: int) -> str:
    letters = ", ".join("ABCDEFGHIJ"[:choices])
    return f"Note: You only need to respond with {letters} without providing any additional information.\n\n{prompt}"


def count(question: Question, text: str, protocol: Protocol) -> Counts:
    letter, choices, source = question.truth
    said = chosen_letter(text, choices)
    right = float(said == letter)
    return {
        "questions": 1,
        "right": right,
        "unread": float(not said),
        f"right/{source}": right,
        f"questions/{source}": 1,
    }


def _by_source(sums: Mapping[str, Array]) -> Array:
    """The mean of 2D, itself the mean of its two sources, and 3D; NaN unless all three are there."""
    parts = []
    for source in ("ADE20K", "COCO", "Omni3D"):
        nothing = sums["questions"] * 0
        parts.append(share(sums.get(f"right/{source}", nothing), sums.get(f"questions/{source}", nothing)))
    ade, coco, omni = parts
    return ((ade + coco) / 2 + omni) / 2


CV_BENCH = Benchmark(
    name="cv-bench",
    title="CV-Bench",
    files="test_2d.jsonl, test_3d.jsonl and the folder img with the pictures",
    protocols=(Protocol("official", rule=_official), Protocol("lmms-eval", rule=_lmms_eval)),
    max_tokens=64,
    load=load,
    count=count,
    metrics={
        "accuracy": Metric(ratio("right", "questions")),
        "by source": Metric(_by_source),
        "unread": Metric(ratio("unread", "questions"), lower_is_better=True),
    },
    main="accuracy",
    subsets=("2D", "3D"),
)
