"""Restyles drawings at random, so that training teaches the object, not the artists.

What questions ask about stays true: the object, and the name of its colour.
"""

import random

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter

INK = (0, 0, 0)
EDGE = 48  # minimum difference of adjacent pixels, of 255, for an inner contour


def restyle(pixels: np.ndarray, rng: random.Random) -> np.ndarray:
    """RGBA [S, S, 4] uint8 => the same drawing in another style"""
    drawing = Image.fromarray(pixels)
    drawing = _bend(drawing, rng)
    colors, alpha = drawing.convert("RGB"), drawing.getchannel("A")
    if rng.random() < 0.4:
        colors = colors.quantize(rng.randint(5, 12), Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    colors = _tone(colors, rng)
    if rng.random() < 0.3:
        colors = _shade(colors, rng)
    if rng.random() < 0.5:
        colors = _contours(colors, alpha, rng)
    if rng.random() < 0.5:
        colors, alpha = _outline(colors, alpha, rng)
    drawing = colors.copy()
    drawing.putalpha(alpha)
    if rng.random() < 0.25:
        drawing = _coarsen(drawing, rng)
    return np.asarray(drawing)


def _bend(drawing: Image.Image, rng: random.Random) -> Image.Image:
    """Changes proportions, tilts a little, and shrinks to make room for an outline."""
    wide, high = (rng.uniform(0.75, 0.96) for _ in range(2))
    shear = rng.uniform(-0.15, 0.15)
    middle = drawing.width / 2
    across, down = (1 / wide, shear, (1 - 1 / wide - shear) * middle), (0, 1 / high, (1 - 1 / high) * middle)
    return drawing.transform(drawing.size, Image.Transform.AFFINE, across + down, Image.Resampling.BILINEAR)


def _tone(colors: Image.Image, rng: random.Random) -> Image.Image:
    for enhance, least, most in (
        (ImageEnhance.Color, 0.6, 1.5),
        (ImageEnhance.Contrast, 0.7, 1.3),
        (ImageEnhance.Brightness, 0.8, 1.2),
    ):
        colors = enhance(colors).enhance(rng.uniform(least, most))
    return colors


def _shade(colors: Image.Image, rng: random.Random) -> Image.Image:
    """Adds light from one side."""
    x, y = rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)
    across = np.linspace(-1, 1, colors.width)
    light = 1 + x * across[None, :, None] + y * across[:, None, None]
    return Image.fromarray(np.clip(np.asarray(colors) * light, 0, 255).astype(np.uint8))


def _contours(colors: Image.Image, alpha: Image.Image, rng: random.Random) -> Image.Image:
    """Draws lines between areas of different colours."""
    smooth = np.asarray(colors.filter(ImageFilter.BoxBlur(1)), np.int16)
    edges = np.zeros(smooth.shape[:2], bool)
    step = rng.randint(1, 3)
    edges[:, step:] |= np.abs(smooth[:, step:] - smooth[:, :-step]).max(axis=2) > EDGE
    edges[step:] |= np.abs(smooth[step:] - smooth[:-step]).max(axis=2) > EDGE
    edges &= np.asarray(alpha) > 200
    return Image.composite(Image.new("RGB", colors.size, INK), colors, Image.fromarray(edges))


def _outline(colors: Image.Image, alpha: Image.Image, rng: random.Random) -> tuple[Image.Image, Image.Image]:
    """Draws a line around the whole drawing, partly outside it."""
    width = rng.choice((3, 5, 7))
    wider, inner = alpha.filter(ImageFilter.MaxFilter(width)), alpha
    if rng.random() < 0.5:
        inner = alpha.filter(ImageFilter.MinFilter(3))
    ink = tuple(rng.randint(0, 50) for _ in INK)
    return Image.composite(colors, Image.new("RGB", colors.size, ink), inner), ImageChops.lighter(wider, alpha)


def _coarsen(drawing: Image.Image, rng: random.Random) -> Image.Image:
    side = rng.randint(drawing.width // 4, drawing.width // 2)
    again = rng.choice((Image.Resampling.NEAREST, Image.Resampling.BILINEAR))
    return drawing.resize((side, side), Image.Resampling.BOX).resize(drawing.size, again)
