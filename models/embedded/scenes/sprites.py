"""Drawings of the objects, extracted from published emoji sets and stored as small pictures with transparency.

Each set is one npm package, in the file that `npm pack` downloads. Sets by several artists teach the model the object
rather than the drawing; one set is never used in training and tests just that.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

from scenes.colors import main_color
from scenes.objects import load_objects

SIDE = 160  # pixels of a stored drawing's longer side


@dataclass(frozen=True)
class EmojiSet:
    name: str
    package: str  # its npm name
    file: str  # its file name from `npm pack`
    sha256: str
    licence: str
    held_out: bool = False


EMOJI_SETS = (
    EmojiSet(
        "noto",
        "@iconify-json/noto@1.2.9",
        "iconify-json-noto-1.2.9.tgz",
        "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
        "Apache-2.0",
    ),
    EmojiSet(
        "noto-v1",
        "@iconify-json/noto-v1@1.2.5",
        "iconify-json-noto-v1-1.2.5.tgz",
        "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37",
        "Apache-2.0",
    ),
    EmojiSet(
        "fluent-emoji-flat",
        "@iconify-json/fluent-emoji-flat@1.2.6",
        "iconify-json-fluent-emoji-flat-1.2.6.tgz",
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
        "MIT",
    ),
    EmojiSet(
        "fluent-emoji-3d",
        "@lobehub/fluent-emoji-3d@1.1.0",
        "lobehub-fluent-emoji-3d-1.1.0.tgz",
        "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
        "MIT",
    ),
    EmojiSet(
        "twemoji",
        "@iconify-json/twemoji@1.2.5",
        "iconify-json-twemoji-1.2.5.tgz",
        "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
        "CC-BY-4.0",
    ),
    EmojiSet(
        "emojione",
        "@iconify-json/emojione@1.2.3",
        "iconify-json-emojione-1.2.3.tgz",
        "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e",
        "CC-BY-4.0",
    ),
    EmojiSet(
        "openmoji",
        "openmoji@17.0.0",
        "openmoji-17.0.0.tgz",
        "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68",
        "CC-BY-SA-4.0",
        held_out=True,
    ),
)


@dataclass(frozen=True, eq=False)
class Drawing:
    pixels: np.ndarray  # [SIDE, SIDE, 4] uint8 RGBA, the longer side filled
    color: str | None  # if nearly all of the drawing has one


Drawings = dict[str, list[Drawing]]  # by object name


# The only package that lists the icon of every code point; the others use the same icon names.
INDEX_FILE = EMOJI_SETS[0].file


def load_drawings(emoji_set: EmojiSet, packages: Path, cache: Path) -> Drawings:
    """Reads the set's package in `packages`, or the result of an earlier call in `cache`."""
    # The name depends on the content, so that a changed list of objects is drawn again.
    inputs = emoji_set.sha256 + repr(load_objects()) + str(SIDE)
    stored = cache / f"{emoji_set.name}-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}.npz"
    if not stored.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with stored.with_suffix(".part").open("wb") as file:
            np.savez_compressed(file, **_draw(emoji_set, packages))
        stored.with_suffix(".part").rename(stored)
    drawings: Drawings = {}
    with np.load(stored) as arrays:
        for key in arrays.files:
            pixels = arrays[key]
            drawings.setdefault(key.split("|")[0], []).append(Drawing(pixels, main_color(pixels)))
    return drawings


def _draw(emoji_set: EmojiSet, packages: Path) -> dict[str, np.ndarray]:
    path = packages / emoji_set.file
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != emoji_set.sha256:
        raise ValueError(f"{path} is not {emoji_set.package}: its sha256 is {digest}, not {emoji_set.sha256}")
    with tarfile.open(path) as package, tarfile.open(packages / INDEX_FILE) as index:
        if "package/icons.json" in package.getnames():
            render = _iconify(_json(package, "icons"), _json(index, "chars"))
        else:
            render = _files(package)
        return {
            f"{item.name}|{emoji}": _fit(picture)
            for item in load_objects()
            for emoji in item.emoji
            if (picture := render(emoji)) is not None
        }


Render = Callable[[str], Image.Image | None]  # None: the set does not draw this character


def _spellings(emoji: str) -> Iterator[str]:
    """Names of the code points in files and indices: with and without the variation selector."""
    points = "-".join(f"{ord(character):x}" for character in emoji)
    yield from (points, points + "-fe0f")


def _json(package: tarfile.TarFile, name: str) -> dict:
    return json.load(package.extractfile(f"package/{name}.json"))


def _iconify(icons: dict, names: dict[str, str]) -> Render:
    def render(emoji: str) -> Image.Image | None:
        name = next((names[points] for points in _spellings(emoji) if points in names), None)
        name = icons.get("aliases", {}).get(name, {}).get("parent", name)
        icon = icons["icons"].get(name)
        if icon is None:
            return None
        width, height = (icon.get(key, icons.get(key, 16)) for key in ("width", "height"))
        return _rasterize(
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">{icon["body"]}</svg>'
        )

    return render


def _files(package: tarfile.TarFile) -> Render:
    members = set(package.getnames())

    def render(emoji: str) -> Image.Image | None:
        for points in _spellings(emoji):
            if (name := f"package/assets/{points}.webp") in members:
                return Image.open(package.extractfile(name)).convert("RGBA")
            if (name := f"package/color/svg/{points.upper()}.svg") in members:
                return _rasterize(package.extractfile(name).read().decode())
        return None

    return render


def _rasterize(svg: str) -> Image.Image:
    png = resvg_py.svg_to_bytes(svg_string=svg, width=2 * SIDE, skip_system_fonts=True)
    return Image.open(io.BytesIO(png)).convert("RGBA")


def _fit(picture: Image.Image) -> np.ndarray:
    """Crops the transparent border and scales the longer side to SIDE, centred in a square."""
    picture = picture.crop(picture.getchannel("A").point(lambda alpha: 255 * (alpha > 8)).getbbox())
    scale = SIDE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    square = Image.new("RGBA", (SIDE, SIDE))
    square.paste(picture.resize((width, height), Image.Resampling.LANCZOS), ((SIDE - width) // 2, (SIDE - height) // 2))
    return np.asarray(square)
