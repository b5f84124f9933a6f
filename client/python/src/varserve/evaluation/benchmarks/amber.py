"""AMBER (Wang et al., An LLM-free Multi-dimensional Benchmark for MLLMs Hallucination Evaluation, 2023)."""

from __future__ import annotations

from collections.abc import Sequence

from varserve.evaluation.benchmark import Benchmark, Counts, Metric, Protocol, Question, ratio
from varserve.evaluation.data_folder import DataFolder
from varserve.evaluation.mentions import Vocabulary
from varserve.evaluation.yes_no import YES_NO_METRICS, confusion, first_answer

KINDS = {
    "discriminative-hallucination": "existence",
    "discriminative-attribute-state": "attribute",
    "discriminative-attribute-number": "attribute",
    "discriminative-attribute-action": "attribute",
}


def load_discriminative(folder: DataFolder, protocol: Protocol) -> list[Question]:
    truths = {row["id"]: row for row in folder.json("annotations.json")}
    return [
        Question(
            id=str(row["id"]),
            images=(folder.image(row["image"]),),
            text=protocol.ask(row["query"]),
            truth=truths[row["id"]]["truth"],
            subset=subset,
            unit=row["image"],
        )
        for row in folder.json("query_discriminative.json")
        if folder.wants(subset := KINDS.get(truths[row["id"]]["type"], "relation"))
    ]


def count_discriminative(question: Question, text: str, protocol: Protocol) -> Counts:
    # What the benchmark is after is "no": precision, recall and F1 are those of "no".
    return confusion(first_answer(text), question.truth, positive="no")


class Associations:
    """Which words stand for which objects."""

    def __init__(self, folder: DataFolder) -> None:
        self.related: dict[str, list[str]] = folder.json("relation.json")
        words = {word for key, others in self.related.items() for word in (key, *others)}
        self.vocabulary = Vocabulary(dict.fromkeys(sorted(words), ()))
        self.harmless = set(folder.find("safe_words.txt").read_text(encoding="utf-8").split("\n"))

    def index(self, objects: Sequence[str], word: str) -> int | None:
        """Which of the objects a word is about: first those it is related to, then those it names."""
        for i, one in enumerate(objects):
            if word in self.related.get(one, ()):
                return i
        return objects.index(word) if word in objects else None


def load_generative(folder: DataFolder, protocol: Protocol) -> list[Question]:
    associations = Associations(folder)
    truths = {row["id"]: row for row in folder.json("annotations.json")}
    return [
        Question(
            id=str(row["id"]),
            images=(folder.image(row["image"]),),
            text=protocol.ask(row["query"]),
            truth=(associations, truths[row["id"]]["truth"], truths[row["id"]]["hallu"]),
            subset="all",
            unit=row["image"],
        )
        for row in folder.json("query_generative.json")
    ]


def count_generative(question: Question, text: str, protocol: Protocol) -> Counts:
    associations, there, tempting = question.truth
    mentioned = associations.vocabulary.mentioned(text)
    covered, fallen_for, invented = set(), set(), 0
    for word in mentioned:
        if word in associations.harmless:
            continue
        if (index := associations.index(there, word)) is not None:
            covered.add(index)
            continue
        if (index := associations.index(tempting, word)) is not None:
            fallen_for.add(index)
        invented += 1
    return {
        "captions": 1,
        "right": float(invented == 0),
        "inventing": float(invented > 0),
        "mentions": len(mentioned),
        "inventions": invented,
        "objects": len(there),
        "covered": len(covered),
        "tempting": len(tempting),
        "fallen": len(fallen_for),
        "words": len(text.split()),
    }


AMBER_DISCRIMINATIVE = Benchmark(
    name="amber-discriminative",
    title="AMBER, discriminative",
    files="annotations.json and query_discriminative.json of AMBER's folder data, and the pictures",
    protocols=(Protocol("official"),),
    max_tokens=32,
    load=load_discriminative,
    count=count_discriminative,
    metrics=YES_NO_METRICS,
    main="F1",
    subsets=("existence", "attribute", "relation"),
    notes=(
        "Precision, recall, F1 and FPR are those of the answer no, as in AMBER.",
        "AMBER leaves reading answers to its user; here the first word yes or no counts.",
    ),
)
AMBER_GENERATIVE = Benchmark(
    name="amber-generative",
    title="AMBER, generative",
    files="annotations.json, relation.json, safe_words.txt, query_generative.json of AMBER's folder data; the pictures",
    protocols=(Protocol("official"), Protocol("lmms-eval", lambda query: query.rstrip("."))),
    max_tokens=512,
    load=load_generative,
    count=count_generative,
    metrics={
        "CHAIR": Metric(ratio("inventions", "mentions"), lower_is_better=True),
        "Cover": Metric(ratio("covered", "objects")),
        "Hal": Metric(ratio("inventing", "captions"), lower_is_better=True),
        "Cog": Metric(ratio("fallen", "tempting"), lower_is_better=True),
        "words": Metric(ratio("words", "captions"), unit=""),
    },
    main="CHAIR",
    notes=(
        "The published script also uses vectors of words (spaCy), for similar ones, and a tagger (NLTK), for nouns.",
        "Here only AMBER's own lists count, so more words are inventions: compare settings, not with published tables.",
    ),
)
