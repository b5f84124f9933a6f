"""Scenes: a few drawn objects on a background, with complete ground truth.

A scene depends only on its split and index. So held-out scenes are the same for everyone and never overlap with
training, which has its own split.
"""

import random
from collections import Counter
from dataclasses import dataclass
from enum import Enum

import numpy as np
from PIL import Image

from scenes.colors import COLORS, paint
from scenes.objects import Object, load_objects
from scenes.photographs import Photographs
from scenes.sprites import Drawing, Drawings
from scenes.styles import restyle

SIDE = 224  # pixels
PHOTOGRAPH = "photograph"
SMALL, BIG = 46, 92  # pixels: objects up to SMALL are called small, from BIG on big
CROWD = 14  # number of objects that a crowd is chosen from
RESTYLED = 0.5  # share of training objects that are drawn in another style


class Difficulty(Enum):
    NORMAL = "normal"
    HARD = "hard"  # small and crowded, if possible on a background of the objects' own colour
    SINGLE = "single"  # one object of any size, to learn its name
    CROWD = "crowd"  # as many objects of all sizes as fit, to learn names


@dataclass(frozen=True)
class Placed:
    """One object in a scene; x and y are the top left corner of its square in pixels."""

    object: Object
    color: str | None
    x: int
    y: int
    side: int

    @property
    def center(self) -> tuple[float, float]:
        return self.x + self.side / 2, self.y + self.side / 2

    @property
    def size(self) -> str | None:
        return "small" if self.side <= SMALL else "big" if self.side >= BIG else None


@dataclass(frozen=True)
class Scene:
    picture: Image.Image
    placed: tuple[Placed, ...]  # from left to right
    background: str  # one of COLORS, or PHOTOGRAPH
    owner: np.ndarray  # [SIDE, SIDE] int8: index into placed of the object that covers a pixel, -1 for background

    @property
    def counts(self) -> Counter[Object]:
        """The number of each object, in order of first appearance from the left."""
        return Counter(placed.object for placed in self.placed)


@dataclass(frozen=True)
class SceneMaker:
    drawings: Drawings
    photographs: Photographs

    def make(self, split: str, index: int, difficulty: Difficulty) -> Scene:
        rng = random.Random(f"{split}/{index}")
        chosen = [(item, rng.choice(self.drawings[item.name])) for item in self._objects(rng, difficulty)]
        placed = self._place(chosen, rng, difficulty)
        background = self._background(placed, rng, difficulty)
        pixels = self.photographs.cut(SIDE, rng) if background == PHOTOGRAPH else paint(background, SIDE, rng)

        picture = Image.fromarray(pixels)
        owner = np.full((SIDE, SIDE), -1, np.int8)
        for at, (item, drawing) in enumerate(placed):
            restyled = split == "train" and rng.random() < RESTYLED
            pixels = restyle(drawing.pixels, rng) if restyled else drawing.pixels
            self._draw(picture, owner, at, item, pixels, rng)
        return Scene(picture, tuple(item for item, _ in placed), background, owner)

    def _objects(self, rng: random.Random, difficulty: Difficulty) -> list[Object]:
        known = [item for item in load_objects() if item.name in self.drawings]
        if difficulty is Difficulty.CROWD:
            return rng.sample(known, min(CROWD, len(known)))
        if difficulty is Difficulty.SINGLE:
            number = 1
        elif difficulty is Difficulty.HARD:
            number = rng.randint(4, 8)
        else:
            number = rng.choices(range(1, 6), weights=(30, 25, 20, 14, 11))[0]
        kinds = number if rng.random() < 0.6 else rng.randint(1, number)
        if rng.random() < 0.35:  # objects that are easily confused
            category = rng.choice(known).category
            alike = [item for item in known if item.category == category]
            kinds = min(kinds, len(alike))
            chosen = rng.sample(alike, kinds)
        else:
            chosen = rng.sample(known, kinds)
        return chosen + rng.choices(chosen, k=number - kinds)

    def _place(
        self, chosen: list[tuple[Object, Drawing]], rng: random.Random, difficulty: Difficulty
    ) -> list[tuple[Placed, Drawing]]:
        """Squares that do not overlap, from left to right."""
        while True:
            placed: list[tuple[Placed, Drawing]] = []
            for item, drawing in chosen:
                smallest, largest = _sides(len(chosen), difficulty, rng)
                for _ in range(50):
                    side = rng.randint(smallest, largest)
                    x, y = rng.randint(0, SIDE - side), rng.randint(0, SIDE - side)
                    if all(_apart(x, y, side, other) for other, _ in placed):
                        placed.append((Placed(item, drawing.color, x, y, side), drawing))
                        break
            if len(placed) == len(chosen) or difficulty is Difficulty.CROWD:
                return sorted(placed, key=lambda pair: pair[0].center)

    def _background(self, placed: list[tuple[Placed, Drawing]], rng: random.Random, difficulty: Difficulty) -> str:
        if rng.random() < 0.2:
            return PHOTOGRAPH
        own = [item.color for item, _ in placed if item.color]
        if difficulty is Difficulty.HARD and own and rng.random() < 0.6:
            return rng.choice(own)
        return rng.choice(list(COLORS))

    def _draw(
        self,
        picture: Image.Image,
        owner: np.ndarray,
        index: int,
        item: Placed,
        drawing: np.ndarray,
        rng: random.Random,
    ) -> None:
        """drawing [S, S, 4] uint8 RGBA"""
        sprite = Image.fromarray(drawing)
        if rng.random() < 0.5:
            sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        sprite = sprite.rotate(rng.uniform(-12, 12), Image.Resampling.BICUBIC)
        sprite = sprite.resize((item.side, item.side), Image.Resampling.BICUBIC)
        picture.paste(sprite, (item.x, item.y), sprite)
        covered = np.asarray(sprite)[..., 3] > 128  # [side, side]
        owner[item.y : item.y + item.side, item.x : item.x + item.side][covered] = index


def _sides(number: int, difficulty: Difficulty, rng: random.Random) -> tuple[int, int]:
    """Minimum and maximum side, in pixels, of one of this many objects."""
    if difficulty is Difficulty.CROWD:
        return 32, rng.choice((40, 60, 90, 120))
    if difficulty is Difficulty.HARD:
        return 24, 44
    return {1: (40, 200), 2: (38, 120), 3: (36, 100), 4: (34, 84), 5: (34, 76)}[number]


def _apart(x: int, y: int, side: int, other: Placed) -> bool:
    return x + side <= other.x or other.x + other.side <= x or y + side <= other.y or other.y + other.side <= y
