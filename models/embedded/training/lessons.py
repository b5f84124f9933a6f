"""Training data: a scene and conversations about it, generated as needed. The same number gives the same lesson."""

import json
import random
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch.utils.data import Dataset

from scenes.scene import Difficulty, SceneMaker
from training.curriculum import conversations, single_questions
from training.packing import ConversationEncoder, Packed, Turn, pack
from training.plan import Plan
from training.sources import Sources

# Share of scenes of each difficulty, and the number of text tokens after their pictures. A single object needs few.
SHARES = {Difficulty.NORMAL: 0.6, Difficulty.SINGLE: 0.25, Difficulty.HARD: 0.15}
MOST_TEXT = {Difficulty.NORMAL: 448, Difficulty.SINGLE: 160, Difficulty.HARD: 448}


@dataclass(frozen=True)
class Lesson:
    pixels: np.ndarray  # [S, S, 3] uint8
    packed: Packed
    kinds: list[str]  # of an exam's questions, each one a conversation in `packed`; empty for training


class Lessons(Dataset):
    def __init__(self, plan: Plan, num_visual: int) -> None:
        self._plan = plan
        self._num_visual = num_visual

    # Read in the process that makes lessons: they are too large to send.
    @cached_property
    def _scenes(self) -> SceneMaker:
        return Sources(self._plan.packages, self._plan.work).scene_maker()

    @cached_property
    def _encoder(self) -> ConversationEncoder:
        return ConversationEncoder(Sources(self._plan.packages, self._plan.work).tokenizer)

    @cached_property
    def _chat(self) -> list[Turn]:
        return [Turn(**turn) for turn in json.loads(self._plan.chat.read_text())]

    def __getitem__(self, index: int) -> Lesson:
        """The lesson for scene `index` of the plan."""
        index += self._plan.first_scene
        # The same for two consecutive scenes, which two processes train on at the same time.
        (difficulty,) = random.Random(f"difficulty/{index // 2}").choices(list(SHARES), list(SHARES.values()))
        rng = random.Random(f"questions/train/{index}")
        scene = self._scenes.make("train", index, difficulty)
        encoded = [self._encoder.encode(talk) for talk in conversations(scene, self._chat, rng)]
        packed, _ = pack(encoded, self._num_visual, MOST_TEXT[difficulty])
        return Lesson(np.array(scene.picture), packed, [])

    def exam(self, index: int) -> Lesson:
        """Single questions about a held-out scene."""
        scene = self._scenes.make("validation", index, Difficulty.NORMAL)
        questions = single_questions(scene, random.Random(f"questions/validation/{index}"))
        encoded = [self._encoder.encode(talk) for _, talk in questions]
        packed, taken = pack(encoded, self._num_visual, MOST_TEXT[Difficulty.NORMAL])
        return Lesson(np.array(scene.picture), packed, [questions[at][0].kind for at in taken])
