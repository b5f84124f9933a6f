"""Scenes of plain coloured squares, for tests without packages."""

import numpy as np
from PIL import Image

from scenes.objects import load_objects
from scenes.photographs import Photographs
from scenes.scene import SceneMaker
from scenes.sprites import SIDE, Drawing


def scene_maker() -> SceneMaker:
    pixels = np.full((SIDE, SIDE, 4), 255, np.uint8)
    drawings = {item.name: [Drawing(pixels, "white")] for item in load_objects()}
    return SceneMaker(drawings, Photographs((Image.new("RGB", (300, 200), "green"),)))
