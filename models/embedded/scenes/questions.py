"""Questions about a scene and their answers.

Each kind of question has a few wordings and one form of answer, so that a rule can judge an answer.
"""

import random
from dataclasses import dataclass
from itertools import combinations

from scenes.captions import CAPTION_PROMPTS, caption, count_word, enumerate_objects, place_of
from scenes.objects import Object, load_objects
from scenes.scene import PHOTOGRAPH, Placed, Scene

MAX_COUNT = 5  # for larger numbers the answer is that there are more
CLEARLY = 30  # minimum distance of two centres, in pixels, for one to be left of or above the other


KINDS = (
    *("caption_short", "caption_medium", "caption_long"),
    *("exists_yes", "exists_no", "leading_yes", "leading_no", "lacking", "which_is_missing"),
    *("category_yes", "category_no", "name", "list", "count_all", "count", "count_none"),
    *("background", "color", "of_absent", "left_right", "above_below", "relation"),
    *("where", "size", "neighbor", "nearest"),
)


@dataclass(frozen=True)
class Question:
    kind: str  # one of KINDS
    text: str
    answer: str
    objects: frozenset[str] = frozenset()  # names that a caption or a list has to mention, for judging


WORDINGS = {
    "exists": (
        "Is there {a} in the image?",
        "Is there {a} in the picture?",
        "Is there {a}?",
        "Can you see {a}?",
        "Do you see {a} in the image?",
        "Does the image show {a}?",
    ),
    "leading": (
        "There is {a} in the image, isn't there?",
        "I can see {a} here. Is that right?",
        "The picture shows {a}, doesn't it?",
    ),
    "lacking": ("Is there no {x} in the image?", "Is the image without {a}?"),
    "which_is_missing": (
        "Which is not in the image, {a} or {b}?",
        "What is missing in the image: {a} or {b}?",
    ),
    "category": ("Is there any {x} in the image?", "Can you see any {x}?"),
    "name": (
        "What is in the image?",
        "What is in the picture?",
        "What do you see?",
        "What is this?",
        "What does the image show?",
    ),
    "list": (
        "What is in the image?",
        "What objects are in the image?",
        "List the objects.",
        "What do you see?",
    ),
    "count_all": (
        "How many objects are there?",
        "How many objects are in the image?",
        "How many things can you see?",
        "Count the objects.",
    ),
    "count": ("How many {xs} are there?", "How many {xs} are in the image?", "How many {xs} can you see?"),
    "background": (
        "What color is the background?",
        "What is the color of the background?",
        "What colour is the background?",
    ),
    "color": ("What color is {the}?", "What is the color of {the}?", "What colour is {the}?"),
    "size": ("Is {the} big or small?", "Is {the} small or big?"),
    "left_right": ("Is {the} left or right of {other}?", "Is {the} to the left or to the right of {other}?"),
    "above_below": ("Is {the} above or below {other}?", "Is {the} below or above {other}?"),
    "relation": ("Is {the} {relation} {other}?",),
    "neighbor": ("What is {relation} {the}?", "Which object is {relation} {the}?"),
    "nearest": ("What is next to {the}?", "What is closest to {the}?"),
    "where": ("Where is {the}?", "Where in the image is {the}?"),
}

CATEGORY_NOUNS = {
    "animal": "animal",
    "fruit": "fruit",
    "vegetable": "vegetable",
    "food": "food",
    "vehicle": "vehicle",
    "instrument": "musical instrument",
    "garment": "piece of clothing",
    "ball": "ball",
    "plant": "plant",
    "building": "building",
}
EDIBLE = {"fruit", "vegetable", "food"}


class QuestionMaker:
    """Draws questions about one scene; the same random numbers give the same questions."""

    def __init__(self, scene: Scene, rng: random.Random) -> None:
        self._scene = scene
        self._rng = rng
        self._present = list(scene.counts)
        self._single = [placed for placed in scene.placed if scene.counts[placed.object] == 1]

    def all(self) -> list[Question]:
        """Questions of every kind that this scene allows, several of the open-ended kinds."""
        return [
            *self._captions(),
            *self._existence(),
            *self._categories(),
            *self._names(),
            *self._counts(),
            *self._colors(),
            *self.relations(),
            *self._places(),
        ]

    def _ask(self, kind: str, answer: str, wording: str | None = None, **words: str) -> Question:
        text = self._rng.choice(WORDINGS[wording or kind]).format(**words)
        return Question(kind, text, answer)

    def _absent(self) -> Object:
        """An object that is not in the scene; half of the time one that is easily confused with one that is."""
        others = [item for item in load_objects() if not any(item.may_be_called(there) for there in self._present)]
        if self._rng.random() < 0.5:
            categories = {item.category for item in self._present}
            others = [item for item in others if item.category in categories] or others
        return self._rng.choice(others)

    def _captions(self) -> list[Question]:
        names = frozenset(item.name for item in self._present)
        return [
            Question(f"caption_{length}", prompt, caption(self._scene, length), names)
            for length, prompt in CAPTION_PROMPTS.items()
        ]

    def _existence(self) -> list[Question]:
        questions = []
        for _ in range(2):
            there, absent = self._rng.choice(self._present), self._absent()
            questions += [
                self._ask("exists_yes", "Yes.", "exists", a=there.indefinite),
                self._ask("exists_no", "No.", "exists", a=absent.indefinite),
            ]
        there, absent = self._rng.choice(self._present), self._absent()
        questions += [
            self._ask("leading_yes", "Yes.", "leading", a=there.indefinite),
            self._ask("leading_no", "No.", "leading", a=absent.indefinite),
            self._ask("lacking", f"No, there is {there.indefinite}.", x=there.name, a=there.indefinite),
            self._ask("lacking", f"Yes, there is no {absent.name}.", x=absent.name, a=absent.indefinite),
        ]
        pair = [there.indefinite, absent.indefinite]
        self._rng.shuffle(pair)
        answer = f"{_capitalize(absent.definite)}."
        questions.append(self._ask("which_is_missing", answer, a=pair[0], b=pair[1]))
        return questions

    def _categories(self) -> list[Question]:
        there = {item.category for item in self._present}
        if there & EDIBLE:
            there.add("food")  # so that "food" is never denied if there is fruit
        present = [category for category in CATEGORY_NOUNS if category in there]
        absent = [category for category in CATEGORY_NOUNS if category not in there]
        questions = []
        if present:
            noun = CATEGORY_NOUNS[self._rng.choice(present)]
            questions.append(self._ask("category_yes", "Yes.", "category", x=noun))
        if absent:
            noun = CATEGORY_NOUNS[self._rng.choice(absent)]
            questions.append(self._ask("category_no", "No.", "category", x=noun))
        return questions

    def _names(self) -> list[Question]:
        answer = f"{_capitalize(enumerate_objects(self._scene.counts))}."
        kind = "name" if len(self._scene.placed) == 1 else "list"
        names = frozenset(item.name for item in self._present)
        asked = self._ask(kind, answer)
        return [Question(kind, asked.text, answer, names)]

    def _counts(self) -> list[Question]:
        there, absent = self._rng.choice(self._present), self._absent()
        number = self._scene.counts[there]
        return [
            self._ask("count_all", _count_answer(len(self._scene.placed))),
            self._ask("count", _count_answer(number), xs=there.plural),
            self._ask("count_none", "None.", "count", xs=absent.plural),
        ]

    def _colors(self) -> list[Question]:
        background = self._scene.background
        answer = "It is a photograph." if background == PHOTOGRAPH else f"{background.capitalize()}."
        questions = [self._ask("background", answer)]
        colored = [placed for placed in self._single if placed.color]
        if colored:
            placed = self._rng.choice(colored)
            questions.append(self._ask("color", f"{placed.color.capitalize()}.", the=placed.object.definite))
        absent = self._absent()
        wording = self._rng.choice(("color", "where", "size"))
        answer = f"There is no {absent.name} in the image."
        questions.append(self._ask("of_absent", answer, wording, the=absent.definite))
        return questions

    def relations(self) -> list[Question]:
        """Which of two objects is left of or above the other, if there are two for which that is clear."""
        questions = []
        pairs = [pair if self._rng.random() < 0.5 else pair[::-1] for pair in combinations(self._single, 2)]
        horizontal = [pair for pair in pairs if abs(pair[0].center[0] - pair[1].center[0]) >= CLEARLY]
        vertical = [pair for pair in pairs if abs(pair[0].center[1] - pair[1].center[1]) >= CLEARLY]
        for kind, axis, clear, words in (
            ("left_right", 0, horizontal, ("left of", "right of")),
            ("above_below", 1, vertical, ("above", "below")),
        ):
            if not clear:
                continue
            one, other = self._rng.choice(clear)
            word = words[one.center[axis] > other.center[axis]]
            names = {"the": one.object.definite, "other": other.object.definite}
            questions.append(self._ask(kind, f"{_capitalize(word.split()[0])}.", **names))

            one, other = self._rng.choice(clear)
            claimed = self._rng.choice(words)
            true = claimed == words[one.center[axis] > other.center[axis]]
            relation = self._rng.choice(("to the " + claimed, claimed)) if axis == 0 else claimed
            names = {"the": one.object.definite, "other": other.object.definite}
            questions.append(self._ask("relation", "Yes." if true else "No.", relation=relation, **names))
        return questions

    def _places(self) -> list[Question]:
        questions = []
        if self._single:
            placed = self._rng.choice(self._single)
            questions.append(self._ask("where", f"{_capitalize(place_of(placed))}.", the=placed.object.definite))
            sized = [placed for placed in self._single if placed.size]
            if sized:
                placed = self._rng.choice(sized)
                questions.append(self._ask("size", f"{placed.size.capitalize()}.", the=placed.object.definite))
        if len(self._single) == len(self._scene.placed) == 2:
            questions += self._pair(*self._single)
        elif self._single and len(self._scene.placed) > 2:
            questions += self._nearest(self._rng.choice(self._single))
        return questions

    def _pair(self, left: Placed, right: Placed) -> list[Question]:
        """With only two objects, each one is the neighbour of the other on its side."""
        if right.center[0] - left.center[0] < CLEARLY:
            return []
        one, other, relation = self._rng.choice(((left, right, "left of"), (right, left, "right of")))
        answer = f"{_capitalize(one.object.indefinite)}."
        words = {"relation": self._rng.choice(("to the " + relation, relation)), "the": other.object.definite}
        return [
            self._ask("neighbor", answer, **words),
            self._ask("nearest", answer, the=other.object.definite),
        ]

    def _nearest(self, placed: Placed) -> list[Question]:
        others = sorted(
            (_distance(placed, other), index) for index, other in enumerate(self._scene.placed) if other is not placed
        )
        if others[1][0] - others[0][0] < CLEARLY:
            return []
        nearest = self._scene.placed[others[0][1]].object
        answer = f"{_capitalize(nearest.indefinite)}."
        return [self._ask("nearest", answer, the=placed.object.definite)]


def _count_answer(number: int) -> str:
    return f"{count_word(number).capitalize()}." if number <= MAX_COUNT else f"More than {count_word(MAX_COUNT)}."


def _distance(one: Placed, other: Placed) -> float:
    return ((one.center[0] - other.center[0]) ** 2 + (one.center[1] - other.center[1]) ** 2) ** 0.5


def _capitalize(text: str) -> str:
    return text[0].upper() + text[1:]
