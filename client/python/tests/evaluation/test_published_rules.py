"""The rules for answers, against what the published scripts give for the same hand-made answers. Their numbers are from
lmms-eval 0.7.3 (POPE, CHAIR, MME, HallusionBench, AMBER, and EvalAI's rules for VQA)."""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path

import pytest

from varserve.evaluation.benchmark import Benchmark, Question
from varserve.evaluation.benchmarks import BENCHMARKS
from varserve.evaluation.benchmarks.amber import Associations
from varserve.evaluation.benchmarks.vqa import normalized, vqa_accuracy
from varserve.evaluation.choices import chosen_letter
from varserve.evaluation.data_folder import DataFolder
from varserve.evaluation.mentions import Vocabulary
from varserve.evaluation.statistics import count_table, metrics
from varserve.evaluation.yes_no import first_answer, mme_answer, pope_answer


def score(benchmark: Benchmark, protocol: str, rows: list[tuple[Question, str]]) -> dict[str, float]:
    counted = [(one, benchmark.count(one, text, benchmark.protocol(protocol))) for one, text in rows]
    return metrics(benchmark, count_table(benchmark, counted))


def question(name: int, truth: object, unit: str = "picture") -> Question:
    return Question(str(name), (), "", truth, "all", unit)


POPE_ROWS = [
    *(("yes", "Yes"), ("yes", "yes"), ("yes", "No"), ("yes", "Yes.")),
    *(("no", "no"), ("no", "No"), ("no", "yes"), ("no", "maybe")),
]


def test_pope_as_lmms_eval_counts() -> None:
    rows = [(question(i, truth), said) for i, (truth, said) in enumerate(POPE_ROWS)]
    values = score(BENCHMARKS["pope"], "lmms-eval", rows)
    assert values["accuracy"] == 0.5
    assert values["precision"] == pytest.approx(2 / 3)
    assert values["neither"] == 2 / 8
    # lmms-eval leaves "Yes." out of the recall, 2 / 3; here it is a miss.
    assert values["recall"] == 2 / 4


def test_pope_by_its_own_rule() -> None:
    rows = [(question(i, truth), said) for i, (truth, said) in enumerate(POPE_ROWS)]
    values = score(BENCHMARKS["pope"], "official", rows)
    assert (values["accuracy"], values["yes-rate"], values["neither"]) == (5 / 8, 5 / 8, 0)
    assert (values["precision"], values["recall"], values["FPR"]) == (3 / 5, 3 / 4, 2 / 4)
    assert values["MCC"] == pytest.approx(0.2582, abs=1e-4)
    for text, answer in (("No, there is not.", "no"), ("It is not.", "no"), ("Nothing. No", "yes"), ("Maybe", "yes")):
        assert pope_answer(text) == answer


def test_mme_reads_answers_and_scores_pairs() -> None:
    expected = {
        "Yes": "yes",
        "yes.": "yes",
        "No, it is not": "no",
        "y": "yes",
        "n": "no",
        "x": "other",
        "Not sure": "no",
        "Yes, it is": "yes",
        "I think yes": "other",
        "": "other",
        " NO.": "no",
        "Maybe no": "other",
    }
    assert {text: mme_answer(text) for text in expected} == expected
    asked = [
        *(("existence", "a", "yes", "Yes"), ("existence", "a", "no", "No.")),
        *(("existence", "b", "yes", "No"), ("existence", "b", "no", "no")),
        *(("OCR", "c", "yes", "Yes, it is"), ("OCR", "c", "no", "Yes")),
    ]
    rows = [(question(i, (kind, truth), unit), said) for i, (kind, unit, truth, said) in enumerate(asked)]
    assert score(BENCHMARKS["mme"], "official", rows)["score"] == 175


def test_hallusion_bench_wants_whole_figures_and_pairs() -> None:
    asked = [
        *(("f/0", "0", "0", "yes", "Yes"), ("f/0", "0", "1", "no", "No"), ("f/0", "1", "0", "no", "Yes")),
        *(("f/0", "1", "1", "yes", "Yes, it is."), ("m/1", "0", "0", "yes", "No.")),
        *(("c/0", "1", "0", "yes", "Yes"), ("c/0", "2", "0", "no", "No")),
    ]
    rows = [
        (question(i, (truth, figure, pair, True), unit), said)
        for i, (unit, figure, pair, truth, said) in enumerate(asked)
    ]
    values = score(BENCHMARKS["hallusion-bench"], "official", rows)
    assert [values[name] for name in ("aAcc", "fAcc", "qAcc")] == pytest.approx([5 / 7, 3 / 5, 2 / 4])
    unsure = [
        (question(0, ("yes", "0", "0", False)), "I cannot see it."),
        (question(1, ("yes", "0", "1", False)), "No."),
    ]
    values = score(BENCHMARKS["hallusion-bench"], "official", unsure)
    assert values["aAcc"] == 1 / 2
    assert math.isnan(values["fAcc"])  # no figure


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        *(("The dog.", "dog"), ("A  cat", "cat"), ("two", "2"), ("none", "0"), ("it's", "it 's"), ("dont", "don't")),
        *(("yes, it is", "yes it is"), ("1,000", "1000"), ("3.5", "3.5"), ("black/white", "black white")),
        *(("T-shirt", "t shirt"), ("left - right", "left right"), ("don't know!", "don't know"), ("U.S.", "us")),
        *(("man's hat", "man 's hat"), ('"STOP"', "stop"), ("New York, NY", "new york ny"), ("an apple", "apple")),
        *(("5 o'clock", "5 o'clock"), ("youre", "you're"), ("(a) b", "b"), ("$5.00", "$5.00"), ("what?", "what")),
    ],
)
def test_vqa_normalizes_as_evalai(answer: str, expected: str) -> None:
    assert normalized(answer) == expected


def test_vqa_accuracy_is_a_share_of_people() -> None:
    for said, answers, expected in (
        ("Dog.", ["dog"] * 10, 1),
        ("dog", ["dog"] * 3 + ["cat"] * 7, 0.9),
        ("dog", ["dog"] * 2 + ["cat"] * 8, 0.6),
        ("dog", ["the dog", "Dog", "a dog.", "dogs", *["cat"] * 6], 0.9),
        ("bird", ["dog"] * 10, 0),
        ("2", ["two"] * 4 + ["2"] + ["3"] * 5, 1),
    ):
        assert vqa_accuracy(said, tuple(answers)) == pytest.approx(expected)


def test_amber_counts_words_by_its_lists(tmp_path: Path) -> None:
    (tmp_path / "relation.json").write_text(
        '{"person": ["man", "woman"], "forest": ["tree", "bush"], "dog": [], "cat": [], "sky": [], "man": ["person"],'
        ' "tree": ["forest"], "car": ["vehicle"], "orange": []}'
    )
    (tmp_path / "safe_words.txt").write_text("orange\n")
    associations = Associations(DataFolder(tmp_path, "AMBER", "files"))
    rows = [
        (
            question(0, (associations, ["person", "forest", "sky"], ["dog", "cat"]), "0"),
            "A man, trees, a dog, an orange.",
        ),
        (question(1, (associations, ["sky"], ["vehicle", "cat"]), "1"), "Sky. The sky and a car."),
        (question(2, (associations, ["cat", "dog"], ["car"]), "2"), "A cat."),
    ]
    values = score(BENCHMARKS["amber-generative"], "official", rows)
    assert [values[name] for name in ("CHAIR", "Cover", "Hal", "Cog")] == pytest.approx([2 / 8, 4 / 6, 2 / 3, 1 / 5])


def test_amber_is_after_the_answer_no() -> None:
    rows = [(question(i, truth), said) for i, (truth, said) in enumerate(POPE_ROWS)]
    values = score(BENCHMARKS["amber-discriminative"], "official", rows)
    assert (values["accuracy"], values["recall"], values["neither"]) == (5 / 8, 2 / 4, 1 / 8)
    assert values["precision"] == 2 / 3
    assert first_answer("I know nothing, yes") == "yes"


def test_letters_are_read_in_every_form() -> None:
    for text, letter in {
        "A": "A",
        "(b)": "B",
        "B. dog": "B",
        "The answer is A": "A",
        "Option b": "B",
        "": "",
        "(A) Open": "A",
        "a dog": "B",
        "The left one": "",
        "It is (B).": "B",
        "Apple": "",
        "C": "",
    }.items():
        assert chosen_letter(text, ["Open", "A dog"]) == letter, text


# Captions with what the published rules find in them, and what is there.
CHAIR_CAPTIONS = (
    ("A man and a woman sit on a bench with a dog.", ["person", "person", "bench", "dog"], ["person", "bench"]),
    ("A hot dog beside a dog.", ["hot dog", "dog"], ["hot dog"]),
    ("The seat of the toilet is up.", ["toilet"], ["toilet"]),
    ("A toilet and a chair.", ["toilet", "chair"], ["toilet", "chair"]),
    ("A baby elephant next to a baby.", ["elephant", "person"], ["elephant"]),
    ("A passenger train at the train track; a passenger waits.", ["train", "person"], ["train", "person"]),
    (
        "A wine glass, a knife, a cup on a dining table.",
        ["wine glass", "knife", "cup", "dining table"],
        ["cup", "fork"],
    ),
    (
        "A teddy bear on the sofa, a cell phone.",
        ["teddy bear", "couch", "cell phone"],
        ["teddy bear", "couch", "laptop"],
    ),
    ("A player at home plate, a ball.", ["person", "sports ball"], ["person", "baseball bat"]),
    ("A bow tie and a traffic light.", ["tie", "traffic light"], ["tie"]),
    ("A puppy, a kitten, a taxi, a motorbike.", ["dog", "cat", "car", "motorcycle"], ["dog", "cat", "car"]),
    ("A mountain with snow.", [], ["dog"]),
    ("An adult giraffe and a zebra near a jeep.", ["giraffe", "zebra", "car"], ["giraffe"]),
)


def coco() -> Vocabulary:
    lines = (resources.files("varserve.evaluation.benchmarks") / "coco_synonyms.txt").read_text().splitlines()
    assert len([line for line in lines if line[0] != "#"]) == 80
    return Vocabulary.from_lines(lines)


def test_chair_as_lmms_eval_counts() -> None:
    vocabulary = coco()
    rows = []
    for i, (text, objects, there) in enumerate(CHAIR_CAPTIONS):
        assert list(vocabulary.mentioned(text)) == objects, text
        rows.append((question(i, (vocabulary, frozenset(there)), str(i)), text))
    values = score(BENCHMARKS["chair"], "lmms-eval", rows)
    assert [100 * values[name] for name in ("CHAIR_i", "CHAIR_s", "recall")] == pytest.approx(
        [38.709677, 69.230769, 81.818182]
    )


@pytest.mark.parametrize(
    ("text", "objects"),
    [
        ("Two men and women sit on benches.", ["person", "person", "bench"]),
        ("Wine glasses, knives and mice; a tie-dyed shirt.", ["wine glass", "knife", "mouse"]),
        ("The dogs' bowls, and the dog's hot dog.", ["dog", "bowl", "dog", "hot dog"]),
        ("Passenger trains, baby birds.", ["train", "bird"]),
    ],
)
def test_chair_knows_plurals(text: str, objects: list[str]) -> None:
    assert list(coco().mentioned(text)) == objects


def test_chair_counts_inventions_per_mention_and_per_caption() -> None:
    vocabulary = Vocabulary({"dog": ["puppy"], "cat": [], "car": ["taxi"]})
    rows = [
        (question(0, (vocabulary, frozenset({"dog", "car"})), "0"), "A puppy, a dog and two cats."),
        (question(1, (vocabulary, frozenset({"cat"})), "1"), "A cat."),
    ]
    values = score(BENCHMARKS["chair"], "official", rows)
    assert values == pytest.approx({"CHAIR_s": 1 / 2, "CHAIR_i": 1 / 4, "recall": 2 / 3, "words": 4.5, "objects": 2})
