"""Copyright-free photographs as backgrounds, cropped from the scikit-image wheel."""

import hashlib
import io
import random
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGE = "scikit-image==0.26.0"
FILE = "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl"
SHA256 = "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af"

BACKGROUNDS = (
    "brick.png",
    "grass.png",
    "gravel.png",
    "camera.png",
    "cell.png",
    "clock_motion.png",
    "hubble_deep_field.jpg",
    "retina.jpg",
    "text.png",
)
# Not used in training: they show what the model makes of a photograph.
SUBJECTS = ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png")


def read_photographs(names: tuple[str, ...], packages: Path) -> tuple[Image.Image, ...]:
    path = packages / FILE
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{path} is not {PACKAGE}: its sha256 is {digest}, not {SHA256}")
    with zipfile.ZipFile(path) as wheel:
        return tuple(Image.open(io.BytesIO(wheel.read(f"skimage/data/{name}"))).convert("RGB") for name in names)


@dataclass(frozen=True)
class Photographs:
    pictures: tuple[Image.Image, ...]

    def cut(self, side: int, rng: random.Random) -> np.ndarray:
        """A random crop of a random photograph, scaled, mirrored and tinted. => [side, side, 3] uint8"""
        picture = rng.choice(self.pictures)
        part = rng.randint(min(100, *picture.size), min(picture.size))  # pixels
        left, top = (rng.randint(0, length - part) for length in picture.size)
        cut = picture.resize((side, side), Image.Resampling.BICUBIC, (left, top, left + part, top + part))
        pixels = np.asarray(cut, float)
        if rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        tint = np.array([rng.uniform(0.7, 1.15) for _ in range(3)])
        return np.clip(pixels * tint, 0, 255).astype(np.uint8)
