"""A restyled drawing differs but shows the same object."""

import random
import unittest

import numpy as np
from PIL import Image, ImageDraw

from scenes.colors import COLORS, main_color
from scenes.sprites import SIDE
from scenes.styles import restyle


def disc(color: str) -> np.ndarray:
    picture = Image.new("RGBA", (SIDE, SIDE))
    ImageDraw.Draw(picture).ellipse((10, 10, SIDE - 10, SIDE - 10), fill=color)
    return np.asarray(picture)


class RestyleTest(unittest.TestCase):
    def test_the_same_numbers_give_the_same_drawing(self) -> None:
        one, same, other = (restyle(disc("red"), random.Random(seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(one, same)
        self.assertTrue((one != other).any())

    def test_it_stays_a_drawing_of_the_same_size(self) -> None:
        rng = random.Random(0)
        for _ in range(50):
            styled = restyle(disc("green"), rng)
            self.assertEqual((styled.shape, styled.dtype), ((SIDE, SIDE, 4), np.uint8))
            covered = (styled[..., 3] > 128).mean() / (disc("green")[..., 3] > 128).mean()
            self.assertGreater(covered, 0.5)
            self.assertLess(covered, 1.2)

    def test_its_colour_keeps_its_name(self) -> None:
        rng = random.Random(0)
        for color in ("red", "green", "blue", "yellow"):
            self.assertIn(color, COLORS)
            named = [main_color(restyle(disc(color), rng)) for _ in range(40)]
            self.assertGreater(named.count(color), 34, named)


if __name__ == "__main__":
    unittest.main()
