"""CHAIR (Rohrbach et al., Object Hallucination in Image Captioning, EMNLP 2018): objects that captions invent."""

from __future__ import annotations

from importlib import resources

from varserve.evaluation.benchmark import Benchmark, Counts, Metric, Protocol, Question, ratio
from varserve.evaluation.data_folder import DataFolder
from varserve.evaluation.mentions import Vocabulary

PROMPT = "Please describe this image in detail."


def load(folder: DataFolder, protocol: Protocol) -> list[Question]:
    vocabulary = _vocabulary(folder)
    instances = folder.json("annotations/instances_val2014.json", "instances_val2014.json")
    captions = folder.json("annotations/captions_val2014.json", "captions_val2014.json")
    names = {category["id"]: category["name"] for category in instances["categories"]}
    objects: dict[int, set[str]] = {image["id"]: set() for image in instances["images"]}
    for instance in instances["annotations"]:
        objects[instance["image_id"]].add(names[instance["category_id"]])
    for caption in captions["annotations"]:
        objects.setdefault(caption["image_id"], set()).update(vocabulary.mentioned(caption["caption"]))
    return [
        Question(
            id=str(image["id"]),
            images=(folder.image(image["file_name"]),),
            text=protocol.ask(PROMPT),
            truth=(vocabulary, frozenset(objects[image["id"]])),
            subset="all",
            unit=str(image["id"]),
        )
        for image in instances["images"]
    ]


def count(question: Question, text: str, protocol: Protocol) -> Counts:
    vocabulary, there = question.truth
    mentioned = vocabulary.mentioned(text)
    invented = [name for name in mentioned if name not in there]
    return {
        "captions": 1,
        "right": float(not invented),
        "inventing": float(bool(invented)),
        "mentions": len(mentioned),
        "inventions": len(invented),
        "objects": len(there),
        "found": len(there & set(mentioned)),
        "words": len(text.split()),
    }


def _vocabulary(folder: DataFolder) -> Vocabulary:
    """COCO's objects, or those of the folder's own list."""
    if folder.has("synonyms.txt"):
        return Vocabulary.from_lines(folder.find("synonyms.txt").read_text(encoding="utf-8").splitlines())
    table = resources.files("varserve.evaluation.benchmarks") / "coco_synonyms.txt"
    return Vocabulary.from_lines(table.read_text(encoding="utf-8").splitlines())


CHAIR = Benchmark(
    name="chair",
    title="CHAIR",
    files="instances_val2014.json and captions_val2014.json of COCO's annotations, and the pictures (val2014)",
    protocols=(Protocol("official"), Protocol("lmms-eval")),
    max_tokens=512,
    load=load,
    count=count,
    metrics={
        "CHAIR_s": Metric(ratio("inventing", "captions"), lower_is_better=True),
        "CHAIR_i": Metric(ratio("inventions", "mentions"), lower_is_better=True),
        "recall": Metric(ratio("found", "objects")),
        "words": Metric(ratio("words", "captions"), unit=""),
        "objects": Metric(ratio("mentions", "captions"), unit=""),
    },
    main="CHAIR_i",
    notes=(
        "The list of synonyms is VARServe's own. Words are found by name and plural, without a tagger.",
        "--limit 500 draws 500 pictures, as most papers do; their choice differs from paper to paper.",
    ),
)
