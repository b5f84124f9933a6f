"""What is asked about a training scene: which questions, in which conversations."""

import random

from scenes.questions import Question, QuestionMaker
from scenes.scene import Scene
from training.packing import Conversation, Turn

# How often a kind is asked, relative to the other kinds that a scene allows.
WEIGHTS = {
    "left_right": 3.0,
    "above_below": 3.0,
    "relation": 1.5,
    "neighbor": 2.0,
    "nearest": 1.5,
    "name": 4.0,
    "list": 4.0,
    "count_all": 2.0,
    "count": 1.5,
    "color": 1.5,
    "size": 1.5,
    "lacking": 0.4,
    "which_is_missing": 0.6,
    "category_yes": 0.6,
    "category_no": 0.6,
    "of_absent": 0.7,
}
# Additional draws of relations: the decoder can infer above and below from a token's position, but has to learn left
# and right.
MORE_RELATIONS = 3
CHAT_SHARE = 0.35  # share of scenes with a plain conversation
CHAT_WITH_PICTURE = 0.5  # share of these that still have the picture before them
# Captions contain most per token, so most scenes have more than one.
CAPTION_SHARES = {"caption_short": 0.5, "caption_medium": 0.7, "caption_long": 0.6}
TWO_TURNS = 0.2  # share of conversations


def conversations(scene: Scene, chat: list[Turn], rng: random.Random) -> list[Conversation]:
    """In order of priority for the available room: a plain conversation, captions, then the others by weight."""
    maker = QuestionMaker(scene, rng)
    questions = maker.all()
    for _ in range(MORE_RELATIONS):
        questions += [question for question in maker.relations() if question.kind != "above_below"]
    captions = [question for question in questions if rng.random() < CAPTION_SHARES.get(question.kind, 0.0)]
    others = [question for question in questions if question.kind not in CAPTION_SHARES]
    others.sort(key=lambda question: rng.random() ** (1 / WEIGHTS.get(question.kind, 1.0)), reverse=True)

    result = []
    if rng.random() < CHAT_SHARE:
        result.append(Conversation((rng.choice(chat),), with_picture=rng.random() < CHAT_WITH_PICTURE))
    asked = [*captions, *others]
    while asked:
        number = 2 if rng.random() < TWO_TURNS else 1
        result.append(Conversation(tuple(_turn(question) for question in asked[:number])))
        asked = asked[number:]
    return result


def single_questions(scene: Scene, rng: random.Random) -> list[tuple[Question, Conversation]]:
    """For judging: every question separately, in random order."""
    questions = QuestionMaker(scene, rng).all()
    rng.shuffle(questions)
    return [(question, Conversation((_turn(question),))) for question in questions]


def _turn(question: Question) -> Turn:
    return Turn(question.text, question.answer)
