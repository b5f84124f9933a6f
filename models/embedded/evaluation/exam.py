"""Held-out scenes and questions about them, independent of who answers."""

import random
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from scenes.questions import KINDS, Question, QuestionMaker
from scenes.scene import Difficulty, Scene, SceneMaker

MAX_SCENES = 1000  # a kind that is not full after this many scenes stays incomplete


@dataclass(frozen=True)
class Split:
    name: str  # also the seed of its scenes
    difficulty: Difficulty
    held_out_drawings: bool
    about: str


SPLITS = {
    split.name: split
    for split in (
        Split("test", Difficulty.NORMAL, False, "scenes like those trained on"),
        Split("hard", Difficulty.HARD, False, "small, crowded and camouflaged objects"),
        Split("unseen", Difficulty.NORMAL, True, "objects drawn by a set never trained on"),
    )
}


@dataclass(frozen=True)
class Sheet:
    index: int
    scene: Scene
    questions: list[Question]


def sheets(split: Split, maker: SceneMaker, per_kind: int, kinds: Collection[str] = KINDS) -> Iterator[Sheet]:
    """Yields scenes with their questions until there are `per_kind` questions of every kind."""
    given: Counter[str] = Counter()
    for index in range(MAX_SCENES):
        scene = maker.make(split.name, index, split.difficulty)
        questions = []
        for question in QuestionMaker(scene, random.Random(f"questions/{split.name}/{index}")).all():
            if question.kind in kinds and given[question.kind] < per_kind:
                given[question.kind] += 1
                questions.append(question)
        if questions:
            yield Sheet(index, scene, questions)
        elif given and min(given.values()) >= per_kind:
            return
