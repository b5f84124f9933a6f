"""HallusionBench (Guan et al., CVPR 2024)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from varserve.evaluation.benchmark import Benchmark, Counts, Metric, Protocol, Question, ratio
from varserve.evaluation.data_folder import DataFolder
from varserve.evaluation.yes_no import YES_NO_METRICS, confusion, first_answer

SUBSETS = {"VD": "visual dependent", "VS": "visual supplement"}


def load(folder: DataFolder, protocol: Protocol) -> list[Question]:
    questions = []
    for row in folder.json("HallusionBench.json"):
        if not folder.wants(SUBSETS[row["category"]]):
            continue
        unit = "/".join(str(row[key]) for key in ("category", "subcategory", "set_id"))
        figure, question = str(row["figure_id"]), str(row["question_id"])
        has_picture = bool(row.get("filename"))
        questions.append(
            Question(
                id=f"{unit}/{figure}/{question}",
                images=(folder.image(row["filename"]),) if has_picture else (),
                text=protocol.ask(row["question"]),
                truth=("yes" if str(row["gt_answer"]) == "1" else "no", figure, question, has_picture),
                subset=SUBSETS[row["category"]],
                unit=unit,
            )
        )
    return questions


def count(question: Question, text: str, protocol: Protocol) -> Counts:
    truth, _, _, has_picture = question.truth
    counts = confusion(first_answer(text), truth)
    if counts["other"] and not has_picture:  # it need not know
        counts["right"] = 1.0
    return counts


def count_unit(counted: Sequence[tuple[Question, Counts]]) -> Counts:
    """Every question of a figure right, and one question right with every figure."""
    figures, pairs = defaultdict(list), defaultdict(list)
    for question, one in counted:
        _, figure, asked, has_picture = question.truth
        pairs[asked].append(one["right"])
        if has_picture:
            figures[figure].append(one["right"])
    return {
        "figures": len(figures),
        "figures_right": sum(all(figure) for figure in figures.values()),
        "pairs": len(pairs),
        "pairs_right": sum(all(pair) for pair in pairs.values()),
    }


HALLUSION_BENCH = Benchmark(
    name="hallusion-bench",
    title="HallusionBench",
    files="HallusionBench.json and the folder hallusion_bench with the pictures",
    protocols=(Protocol("official"), Protocol("lmms-eval")),
    max_tokens=128,
    load=load,
    count=count,
    count_unit=count_unit,
    metrics={
        "aAcc": Metric(ratio("right", "questions")),
        "fAcc": Metric(ratio("figures_right", "figures")),
        "qAcc": Metric(ratio("pairs_right", "pairs")),
        **{name: metric for name, metric in YES_NO_METRICS.items() if name != "accuracy"},
    },
    main="aAcc",
    subsets=tuple(SUBSETS.values()),
    notes=(
        "The published script asks GPT-4 whether an answer is right; here its first word yes or no counts.",
        "Without a picture, an answer that is neither is right, as there one that is uncertain.",
    ),
)
