"""Scenes are reproducible, and the questions about them have true answers."""

import random
import unittest

import numpy as np

from scenes.captions import place_of
from scenes.objects import load_objects
from scenes.questions import KINDS, MAX_COUNT, QuestionMaker
from scenes.scene import SIDE, Difficulty, Scene
from tests.made_up import scene_maker

NUM_SCENES = 60


class SceneTest(unittest.TestCase):
    def setUp(self) -> None:
        self.maker = scene_maker()

    def test_is_a_function_of_split_and_index(self) -> None:
        for difficulty in Difficulty:
            one, same = (self.maker.make("test", 3, difficulty) for _ in range(2))
            self.assertEqual(one.placed, same.placed)
            self.assertEqual(one.picture.tobytes(), same.picture.tobytes())
            for split, index in (("train", 3), ("test", 4)):
                self.assertNotEqual(one.placed, self.maker.make(split, index, difficulty).placed)

    def test_objects_stay_inside_and_apart(self) -> None:
        for difficulty in Difficulty:
            for index in range(NUM_SCENES):
                scene = self.maker.make("test", index, difficulty)
                taken = np.zeros((SIDE, SIDE), int)
                for placed in scene.placed:
                    self.assertLessEqual(max(placed.x, placed.y) + placed.side, SIDE)
                    taken[placed.y : placed.y + placed.side, placed.x : placed.x + placed.side] += 1
                self.assertLessEqual(taken.max(), 1)

    def test_owner_tells_every_object(self) -> None:
        for index in range(NUM_SCENES):
            scene = self.maker.make("test", index, Difficulty.HARD)
            self.assertEqual(set(np.unique(scene.owner)), {-1, *range(len(scene.placed))})

    def test_a_crowd_is_many_different_objects(self) -> None:
        for index in range(NUM_SCENES):
            counts = self.maker.make("train", index, Difficulty.CROWD).counts
            self.assertGreater(counts.total(), 4)
            self.assertEqual(set(counts.values()), {1})

    def test_objects_come_from_left_to_right(self) -> None:
        for index in range(NUM_SCENES):
            centers = [placed.center[0] for placed in self.maker.make("test", index, Difficulty.HARD).placed]
            self.assertEqual(centers, sorted(centers))


class QuestionTest(unittest.TestCase):
    def scenes(self) -> list[Scene]:
        maker = scene_maker()
        return [maker.make("test", index, difficulty) for index in range(NUM_SCENES) for difficulty in Difficulty]

    def asked(self, scene: Scene, kind: str) -> list[tuple[str, str]]:
        questions = QuestionMaker(scene, random.Random(0)).all()
        return [(question.text, question.answer) for question in questions if question.kind == kind]

    def mentions(self, text: str, scene: Scene) -> bool:
        words = f" {text.lower().rstrip('?.')} ".replace(",", " ")
        return any(f" {placed.object.name} " in words for placed in scene.placed)

    def test_existence_is_asked_of_what_is_there_and_of_what_is_not(self) -> None:
        for scene in self.scenes():
            for kind, there in (("exists_yes", True), ("exists_no", False), ("leading_no", False)):
                for question, answer in self.asked(scene, kind):
                    text = question.split(" here.")[0].split(", ")[0]
                    self.assertEqual(answer, "Yes." if there else "No.")
                    self.assertEqual(self.mentions(text, scene), there, (text, scene.placed))

    def test_every_kind_is_asked_and_no_other(self) -> None:
        asked = {question.kind for scene in self.scenes() for question in QuestionMaker(scene, random.Random(0)).all()}
        self.assertEqual(asked, set(KINDS))

    def test_counts_are_right(self) -> None:
        words = ("None.", "One.", "Two.", "Three.", "Four.", "Five.")
        for scene in self.scenes():
            number = len(scene.placed)
            ((_, answer),) = self.asked(scene, "count_all")
            self.assertEqual(answer, words[number] if number <= MAX_COUNT else "More than five.")

    def test_sides_are_right(self) -> None:
        asked = 0
        for scene in self.scenes():
            place = {placed.object.name: placed.center for placed in scene.placed}
            for kind, axis, first in (("left_right", 0, "Left."), ("above_below", 1, "Above.")):
                for text, answer in self.asked(scene, kind):
                    names = sorted(place, key=lambda name: (text.find(f"the {name}"), -len(name)))
                    one, other = [name for name in names if f"the {name}" in text.replace("?", " ")][:2]
                    self.assertEqual(answer == first, place[one][axis] < place[other][axis], text)
                    asked += 1
        self.assertGreater(asked, NUM_SCENES / 2)

    def test_no_one_is_asked_about_what_people_would_argue_over(self) -> None:
        by_name = {item.name: item for item in load_objects()}
        for one, other in (("car", "police car"), ("car", "taxi"), ("tree", "pine tree"), ("boot", "shoe")):
            self.assertTrue(by_name[one].may_be_called(by_name[other]))
        self.assertFalse(by_name["dog"].may_be_called(by_name["cat"]))

    def test_places_are_named_by_thirds(self) -> None:
        for scene in self.scenes():
            for placed in scene.placed:
                x, y = (at / SIDE for at in placed.center)
                name = place_of(placed)
                self.assertEqual("left" in name, x < 1 / 3)
                self.assertEqual("right" in name, x >= 2 / 3)
                self.assertEqual("top" in name, y < 1 / 3)
                self.assertEqual("bottom" in name, y >= 2 / 3)

    def test_articles(self) -> None:
        by_name = {item.name: item for item in load_objects()}
        for name, expected in (
            ("owl", "an owl"),
            ("unicorn", "a unicorn"),
            ("umbrella", "an umbrella"),
            ("dog", "a dog"),
            ("ear of corn", "an ear of corn"),
        ):
            self.assertEqual(by_name[name].indefinite, expected)


if __name__ == "__main__":
    unittest.main()
