"""Official files, cut down to a few questions, become prompts; what is missing is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from varserve.evaluation.benchmark import Question
from varserve.evaluation.benchmarks import BENCHMARKS
from varserve.evaluation.data_folder import DataFolder
from varserve.evaluation.errors import EvaluationError

Write = Callable[[str, object], None]
ONE_WORD = "\nAnswer the question using a single word or phrase."


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A file of the benchmark; a list of objects in .jsonl is one a line, None a picture."""

    def write_file(name: str, content: object) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        elif content is None:
            path.write_bytes(b"picture")
        elif name.endswith(".jsonl"):
            path.write_text("".join(json.dumps(line) + "\n" for line in content))
        else:
            path.write_text(json.dumps(content))

    return write_file


def load(folder: Path, name: str, protocol: str = "official", subsets: Sequence[str] = ()) -> list[Question]:
    benchmark = BENCHMARKS[name]
    data = DataFolder(folder, benchmark.title, benchmark.files, subsets)
    return benchmark.load(data, benchmark.protocol(protocol))


def test_pope(tmp_path: Path, write: Write) -> None:
    line = {"question_id": 1, "image": "COCO_val2014_1.jpg", "text": "Is there a dog in the image?", "label": "no"}
    for subset in ("random", "popular", "adversarial"):
        write(f"coco/coco_pope_{subset}.json", json.dumps(line) + "\n")
    with pytest.raises(EvaluationError, match=r"COCO_val2014_1\.jpg is missing"):
        load(tmp_path, "pope")
    write("val2014/COCO_val2014_1.jpg", None)
    questions = load(tmp_path, "pope", "lmms-eval")
    assert [question.id for question in questions] == ["random/1", "popular/1", "adversarial/1"]
    assert questions[0].text == "Is there a dog in the image?" + ONE_WORD
    assert load(tmp_path, "pope")[0].text == "Is there a dog in the image?"
    (tmp_path / "coco/coco_pope_popular.json").unlink()
    with pytest.raises(
        EvaluationError, match=r"coco_pope_popular\.json .* is missing in .*POPE reads coco_pope_random"
    ):
        load(tmp_path, "pope")
    others = load(tmp_path, "pope", subsets=["adversarial", "random"])
    assert [question.id for question in others] == ["random/1", "adversarial/1"]


def test_chair(tmp_path: Path, write: Write) -> None:
    images = [{"id": 7, "file_name": "COCO_val2014_7.jpg"}]
    instances = [{"image_id": 7, "category_id": 3}]
    write(
        "annotations/instances_val2014.json",
        {"images": images, "categories": [{"id": 3, "name": "car"}], "annotations": instances},
    )
    caption = {"image_id": 7, "caption": "Two puppies in a taxi."}
    write("annotations/captions_val2014.json", {"annotations": [caption]})
    write("val2014/COCO_val2014_7.jpg", None)
    [question] = load(tmp_path, "chair")
    assert question.text == "Please describe this image in detail."
    assert question.truth[1] == {"car", "dog"}


def test_mme(tmp_path: Path, write: Write) -> None:
    categories = "existence count position color posters celebrity scene landmark artwork OCR"
    categories += " commonsense_reasoning numerical_calculation text_translation code_reasoning"
    for category in categories.split():
        write(f"{category}/1.txt", "Is it?  Please answer yes or no.\tYes\nIsn't it? Please answer yes or no.\tNo\n")
        write(f"{category}/1.jpg", None)
    questions = load(tmp_path, "mme")
    assert len(questions) == 28
    assert (questions[0].text, questions[0].truth) == ("Is it?  Please answer yes or no.", ("existence", "yes"))
    assert questions[0].images[0].parent.name == "existence"
    assert load(tmp_path, "mme", "lmms-eval")[1].text == "Isn't it?" + ONE_WORD
    assert {question.subset for question in questions} == {"perception", "cognition"}
    (tmp_path / "OCR/1.txt").unlink()
    assert {question.subset for question in load(tmp_path, "mme", subsets=["cognition"])} == {"cognition"}


def test_amber(tmp_path: Path, write: Write) -> None:
    write(
        "annotations.json",
        [
            {"id": 1, "type": "generative", "truth": ["sky"], "hallu": ["dog"]},
            {"id": 1005, "type": "discriminative-attribute-state", "truth": "yes"},
            {"id": 1006, "type": "relation", "truth": "no"},
        ],
    )
    write("relation.json", {"sky": [], "dog": []})
    write("safe_words.txt", "")
    write("query/query_generative.json", [{"id": 1, "image": "AMBER_1.jpg", "query": "Describe this image."}])
    asked = [{"id": number, "image": f"AMBER_{number}.jpg", "query": "Is it?"} for number in (1005, 1006)]
    write("query/query_discriminative.json", asked)
    for picture in (1, 1005, 1006):
        write(f"image/AMBER_{picture}.jpg", None)
    assert [question.subset for question in load(tmp_path, "amber-discriminative")] == ["attribute", "relation"]
    assert load(tmp_path, "amber-generative", "lmms-eval")[0].text == "Describe this image"
    (tmp_path / "image/AMBER_1006.jpg").unlink()
    assert [question.id for question in load(tmp_path, "amber-discriminative", subsets=["attribute"])] == ["1005"]


def test_hallusion_bench(tmp_path: Path, write: Write) -> None:
    row = {"category": "VS", "subcategory": "chart", "set_id": "0", "question_id": "0", "question": "Is it?"}
    rows = [
        row | {"figure_id": "0", "filename": None, "gt_answer": "1"},
        row | {"figure_id": "1", "filename": "./VS/chart/0_1.png", "gt_answer": "0"},
    ]
    write("HallusionBench.json", rows)
    for folder in ("VD/chart", "VS/chart", "VS/map"):
        write(f"hallusion_bench/{folder}/0_1.png", None)
    without, with_picture = load(tmp_path, "hallusion-bench")
    assert with_picture.images == (tmp_path / "hallusion_bench/VS/chart/0_1.png",)
    assert without.images == ()
    assert load(tmp_path, "hallusion-bench", subsets=["visual dependent"]) == []
    assert (without.truth[0], with_picture.truth[0], without.unit) == ("yes", "no", with_picture.unit)


def test_questions_of_people(tmp_path: Path, write: Write) -> None:
    answers = [{"answer": "yes"}] * 10
    write(
        "v2_OpenEnded_mscoco_val2014_questions.json",
        {"questions": [{"image_id": 9, "question_id": 90, "question": "A?"}]},
    )
    annotation = {"question_id": 90, "answers": answers, "answer_type": "yes/no"}
    write("v2_mscoco_val2014_annotations.json", {"annotations": [annotation]})
    write("val2014/COCO_val2014_000000000009.jpg", None)
    [question] = load(tmp_path, "vqav2")
    assert (question.text, question.truth, question.subset) == ("A?" + ONE_WORD, ("yes",) * 10, "yes/no")

    write("val.json", [{"image": "VizWiz_val_1.jpg", "question": "WHAT is it?", "answers": answers}])
    write("val/VizWiz_val_1.jpg", None)
    unanswerable = "\nWhen the provided information is insufficient, respond with 'Unanswerable'."
    assert load(tmp_path, "vizwiz")[0].text == "WHAT is it?" + unanswerable + ONE_WORD
    assert load(tmp_path, "vizwiz", "lmms-eval")[0].text == "What is it?" + unanswerable + ONE_WORD

    row = {"question": "what TIME?", "image_id": "ab", "question_id": 5, "answers": ["noon"] * 10}
    write("TextVQA_0.5.1_val.json", {"data": [row]})
    write("train_images/ab.jpg", None)
    assert load(tmp_path, "textvqa", "lmms-eval")[0].text == "What time?" + ONE_WORD

    write("testdev_balanced_questions.json", {"201": {"imageId": "n1", "question": "Is it?", "answer": "yes"}})
    write("images/n1.jpg", None)
    assert load(tmp_path, "gqa")[0].text == "Is it?" + ONE_WORD


def test_choices(tmp_path: Path, write: Write) -> None:
    head = "Index,Question,Options,Correct Answer\n"
    write("Questions.csv", head + "99,Long tusks?,(a) Yes (b) No,(a)\n100,Long tusks?,(a) Yes (b) No,(b)\n")
    for index in (99, 100):
        write(f"MMVP Images/{index}.jpg", None)
    official, _ = load(tmp_path, "mmvp")
    corrected, _ = load(tmp_path, "mmvp", "lmms-eval")
    assert (official.text, official.truth[0], official.unit) == ("Long tusks? (a) Yes (b) No", "A", "49")
    assert corrected.text.startswith("Long tusks?\nA. Yes\nB. No\nAnswer with the option's letter")
    assert corrected.truth[0] == "B"

    row = {"idx": 0, "filename": "img/2D/a.png", "prompt": "How many? (A) 1 (B) 2", "choices": ["1", "2"]}
    write("test_2d.jsonl", [row | {"answer": "(B)", "source": "COCO"}])
    write("test_3d.jsonl", [row | {"answer": "(A)", "source": "Omni3D"}])
    write("img/2D/a.png", None)
    first, second = load(tmp_path, "cv-bench", "lmms-eval")
    assert first.text.startswith("Note: You only need to respond with A, B without")
    assert (first.truth[0], second.truth[0], second.subset) == ("B", "A", "3D")


def test_mm_vet(tmp_path: Path, write: Write) -> None:
    write("mm-vet.json", {"v1_0": {"imagename": "v1_0.png", "question": "What is x?", "answer": "1"}})
    write("images/v1_0.png", None)
    [question] = load(tmp_path, "mm-vet")
    benchmark = BENCHMARKS["mm-vet"]
    assert benchmark.export is not None
    assert benchmark.export([(question, "It is 1.")]) == {"v1_0": "It is 1."}
