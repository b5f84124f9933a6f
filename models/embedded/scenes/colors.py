"""The eleven basic colours: classifies pixels, and paints backgrounds."""

import colorsys
import random

import numpy as np

COLORS = {
    "white": (245, 245, 245),
    "gray": (128, 128, 128),
    "black": (20, 20, 20),
    "red": (205, 45, 45),
    "green": (60, 160, 70),
    "blue": (60, 90, 205),
    "yellow": (240, 215, 60),
    "purple": (140, 65, 175),
    "orange": (240, 140, 45),
    "pink": (248, 165, 195),
    "brown": (120, 78, 48),
}
MAIN_COLOR_SHARE = 0.65  # share of a drawing's pixels from which people agree on its colour


def color_of(rgb: tuple[float, float, float]) -> str | None:
    """The basic colour of an RGB value in [0, 255]; None if people would disagree, as about beige."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in rgb))
    hue *= 360
    if value < 0.25 or (value < 0.35 and saturation < 0.5):
        return "black"
    if saturation < 0.2:
        return "white" if value > 0.82 else "gray"
    if hue < 43 or hue >= 345:
        return _warm_color(hue, saturation, value)
    for end, name in ((68, "yellow"), (165, "green"), (255, "blue"), (300, "purple"), (345, "pink")):
        if hue < end:
            return name
    return None


def _warm_color(hue: float, saturation: float, value: float) -> str | None:
    reddish = hue < 16 or hue >= 345
    if value < 0.68:
        return "red" if reddish and saturation > 0.65 else "brown"
    if reddish:
        rosy = hue < 10 or hue >= 345
        return "red" if saturation > 0.6 else "pink" if rosy and value > 0.8 else None
    return "orange" if saturation > 0.75 else None


def main_color(drawing: np.ndarray) -> str | None:
    """The colour of nearly all of an RGBA drawing, if there is one."""
    pixels = drawing[::5, ::5].reshape(-1, 4)
    names = [color_of(pixel[:3]) for pixel in pixels if pixel[3] > 128]
    name = max(COLORS, key=names.count)
    return name if names.count(name) >= MAIN_COLOR_SHARE * len(names) else None


def paint(color: str, side: int, rng: random.Random) -> np.ndarray:
    """A square in one colour, with some noise and a brightness gradient. => [side, side, 3] uint8"""
    base = np.array(COLORS[color], float) + [rng.uniform(-12, 12) for _ in range(3)]
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 14)
    ramp = np.linspace(-1, 1, side)
    shade = strength * (np.cos(angle) * ramp[:, None] + np.sin(angle) * ramp[None, :])  # [side, side]
    noise = np.random.default_rng(rng.getrandbits(64)).normal(0, rng.uniform(0, 14), (side, side, 3))
    return np.clip(base + shade[..., None] + noise, 0, 255).astype(np.uint8)
