"""The judge accepts true answers in several wordings, and nothing else."""

import random
import unittest
from itertools import pairwise

from evaluation.scoring import judge, mentioned_objects
from scenes.questions import Question, QuestionMaker
from scenes.scene import Difficulty
from tests.made_up import scene_maker


class JudgeTest(unittest.TestCase):
    def test_every_questions_own_answer_is_right(self) -> None:
        maker = scene_maker()
        for index in range(60):
            for difficulty in Difficulty:
                scene = maker.make("test", index, difficulty)
                for question in QuestionMaker(scene, random.Random(index)).all():
                    self.assertTrue(judge(question, question.answer).right, question)

    def test_the_answer_of_another_question_of_the_kind_is_wrong(self) -> None:
        maker = scene_maker()
        answers: dict[str, list[Question]] = {}
        for index in range(60):
            scene = maker.make("test", index, Difficulty.NORMAL)
            for question in QuestionMaker(scene, random.Random(index)).all():
                answers.setdefault(question.kind, []).append(question)
        same_objects_suffice = {"list", "name"}  # judged by the objects mentioned, not by the number of each
        for kind, questions in answers.items():
            for one, other in pairwise(questions):
                if one.answer != other.answer and one.objects == other.objects == frozenset():
                    self.assertFalse(judge(one, other.answer).right, (one, other.answer))
                if one.objects != other.objects and kind in same_objects_suffice:
                    self.assertFalse(judge(one, other.answer).right, (one, other.answer))

    def test_wordings(self) -> None:
        cases = (
            ("exists_yes", "Yes.", "Yes, there is a dog.", True),
            ("exists_yes", "Yes.", "No, but there is a cat. Yes?", False),
            ("exists_no", "No.", "no", True),
            ("exists_no", "No.", "", False),
            ("count", "Three.", "There are 3.", True),
            ("count", "Three.", "Three or four.", False),
            ("count_all", "Five.", "More than five.", False),
            ("count_all", "More than five.", "More than 5", True),
            ("background", "Gray.", "It is grey.", True),
            ("background", "Gray.", "Gray and white.", False),
            ("background", "It is a photograph.", "A photo.", True),
            ("left_right", "Left.", "It is to the left.", True),
            ("left_right", "Left.", "Left and right.", False),
            ("size", "Big.", "It is large.", True),
            ("nearest", "A police car.", "The police car.", True),
            ("nearest", "A police car.", "A car.", False),
            ("of_absent", "There is no dog in the image.", "No dog is there.", True),
            ("of_absent", "There is no dog in the image.", "At the top left.", False),
            ("where", "At the top left.", "at the top left", True),
            ("where", "At the top left.", "At the top.", False),
        )
        for kind, answer, reply, right in cases:
            with self.subTest(kind=kind, reply=reply):
                self.assertEqual(judge(Question(kind, "", answer), reply).right, right)

    def test_a_caption_has_to_name_all_objects_and_no_other(self) -> None:
        question = Question("caption_medium", "", "", frozenset({"dog", "police car"}))
        self.assertTrue(judge(question, "Two dogs and a police car on a red background.").right)
        for caption, invented in (
            ("A dog.", 0),
            ("A dog, a police car and a cat, a real cat.", 2),
            ("A dog and a car", 1),
        ):
            verdict = judge(question, caption)
            self.assertFalse(verdict.right)
            self.assertEqual(verdict.invented.total(), invented)

    def test_longer_names_and_plurals_are_told_apart(self) -> None:
        mentioned = mentioned_objects("A police car, two pine trees, a tree, three mice and an ear of corn; cargo.")
        self.assertEqual(mentioned, {"police car": 1, "pine tree": 1, "tree": 1, "mouse": 1, "ear of corn": 1})


if __name__ == "__main__":
    unittest.main()
