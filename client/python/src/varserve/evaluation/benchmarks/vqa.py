"""VQAv2 (Goyal et al., 2017), VizWiz (Gurari et al., 2018) and TextVQA (Singh et al., 2019): ten people's answers."""

from __future__ import annotations

import functools
import re

from varserve.evaluation.benchmark import SHORT_ANSWERS, Benchmark, Counts, Protocol, Question
from varserve.evaluation.data_folder import DataFolder
from varserve.evaluation.prompts import NO_INSTRUCTION, UNANSWERABLE, one_word

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_WORDS = {word: str(number) for number, word in enumerate(NUMBERS)} | {"none": "0"}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`!'
# As people write "don't" without its mark; words that are also something else, such as "ill" and "were", stay.
_CONTRACTED = """
ain't aren't can't couldn't could've didn't doesn't don't hadn't hasn't haven't he'd he's how'd how's isn't it'd it'll
ma'am mightn't might've mustn't must've needn't o'clock shan't shouldn't should've that's there'd there's they'd they'll
they're they've wasn't weren't we've what'll what's who'd who's why'd why's won't wouldn't would've y'all you'd you'll
you're you've
"""
_CONTRACTIONS = {word.replace("'", ""): word for word in _CONTRACTED.split()}


@functools.lru_cache(maxsize=100_000)
def normalized(answer: str) -> str:
    """An answer as VQA's evaluation compares it: without punctuation and articles, numbers as digits."""
    answer = re.sub(r"[,?]", "", answer.lower()).replace("'s", " 's")
    answer = re.sub(r"\s", " ", answer).strip()
    removed = answer
    for mark in _PUNCTUATION:
        alone = f"{mark} " in answer or f" {mark}" in answer
        removed = removed.replace(mark, "" if alone else " ")
    removed = re.sub(r"\.(?!\d)", "", removed)
    words = (_WORDS.get(word, word) for word in removed.split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in ("a", "an", "the"))


def vqa_accuracy(said: str, answers: tuple[str, ...]) -> float:
    """For each person the share of three others who say the same, at most 1; the mean."""
    said = normalized(said)
    same = [normalized(answer) == said for answer in answers]
    return sum(min(1.0, (sum(same) - one) / 3) for one in same) / len(same)


def count(question: Question, text: str, protocol: Protocol) -> Counts:
    return {"questions": 1, "right": vqa_accuracy(text, question.truth), "words": len(text.split())}


def load_vqav2(folder: DataFolder, protocol: Protocol) -> list[Question]:
    asked = folder.json("v2_OpenEnded_mscoco_val2014_questions.json")["questions"]
    annotations = folder.json("v2_mscoco_val2014_annotations.json")["annotations"]
    truths = {row["question_id"]: row for row in annotations}
    questions = []
    for row in asked:
        truth = truths[row["question_id"]]
        image = f"COCO_val2014_{row['image_id']:012d}.jpg"
        answers = tuple(answer["answer"] for answer in truth["answers"])
        text = protocol.ask(row["question"])
        kind = str(truth["answer_type"])
        questions.append(Question(str(row["question_id"]), (folder.image(image),), text, answers, kind, image))
    return questions


def load_vizwiz(folder: DataFolder, protocol: Protocol) -> list[Question]:
    questions = []
    for row in folder.json("val.json"):
        answers = tuple(answer["answer"] for answer in row["answers"])
        text, kind = protocol.ask(row["question"]), row.get("answer_type", "all")
        questions.append(Question(row["image"], (folder.image(row["image"]),), text, answers, kind, row["image"]))
    return questions


def load_textvqa(folder: DataFolder, protocol: Protocol) -> list[Question]:
    questions = []
    for row in folder.json("TextVQA_0.5.1_val.json")["data"]:
        image = f"{row['image_id']}.jpg"
        text, answers = protocol.ask(row["question"]), tuple(row["answers"])
        questions.append(Question(str(row["question_id"]), (folder.image(image),), text, answers, "all", image))
    return questions


def _capitalized(question: str) -> str:
    return one_word(question.capitalize())


def _unanswerable(question: str) -> str:
    return one_word(question + UNANSWERABLE)


_of_ten_answers = functools.partial(
    Benchmark,
    max_tokens=16,
    count=count,
    metrics=SHORT_ANSWERS,
    main="accuracy",
    notes=(
        NO_INSTRUCTION,
        "All answers are normalized, as in EvalAI; the first script of VQA does so only where people disagree.",
    ),
)
VQAV2 = _of_ten_answers(
    name="vqav2",
    title="VQAv2",
    files="v2_OpenEnded_mscoco_val2014_questions.json, v2_mscoco_val2014_annotations.json, and COCO's val2014",
    protocols=(Protocol("official", one_word), Protocol("lmms-eval", one_word)),
    load=load_vqav2,
)
VIZWIZ = _of_ten_answers(
    name="vizwiz",
    title="VizWiz",
    files="val.json and the pictures (val)",
    protocols=(
        Protocol("official", _unanswerable),
        Protocol("lmms-eval", lambda question: _unanswerable(question.capitalize())),
    ),
    load=load_vizwiz,
)
TEXTVQA = _of_ten_answers(
    name="textvqa",
    title="TextVQA",
    files="TextVQA_0.5.1_val.json and the pictures (train_images)",
    protocols=(Protocol("official", one_word), Protocol("lmms-eval", _capitalized)),
    load=load_textvqa,
)
