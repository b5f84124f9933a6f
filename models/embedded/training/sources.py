"""Everything that training starts from, read from the packages: the two networks, the tokenizer, the scenes."""

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from recipe import dinov2, smollm2
from recipe.wheels import DECODER_WHEEL, TOWER_WHEEL
from scenes.photographs import BACKGROUNDS, Photographs, read_photographs
from scenes.scene import SceneMaker
from scenes.sprites import EMOJI_SETS, Drawings, load_drawings


def source_flags() -> argparse.ArgumentParser:
    """A parent parser with --packages and --cache."""
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument("--packages", type=Path, required=True, metavar="DIR", help="as for train.py")
    flags.add_argument("--cache", type=Path, required=True, metavar="DIR", help="where drawings are kept")
    return flags


@dataclass(frozen=True)
class Sources:
    packages: Path  # a folder filled by fetch.py
    cache: Path

    @cached_property
    def decoder(self) -> smollm2.Decoder:
        with self._gguf() as path:
            return smollm2.read_decoder(path)

    @cached_property
    def tower(self) -> dinov2.VisionTower:
        return dinov2.read_vision_tower(TOWER_WHEEL.read(self.packages / TOWER_WHEEL.file))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        with self._gguf() as path:
            return Tokenizer.from_str(json.dumps(smollm2.read_tokenizer(path)))

    def scene_maker(self, held_out: bool = False) -> SceneMaker:
        """Makes scenes from the sets used in training, or from the one that is not."""
        drawings: Drawings = {}
        for emoji_set in EMOJI_SETS:
            if emoji_set.held_out == held_out:
                for name, pictures in load_drawings(emoji_set, self.packages, self.cache / "drawings").items():
                    drawings.setdefault(name, []).extend(pictures)
        return SceneMaker(drawings, Photographs(read_photographs(BACKGROUNDS, self.packages)))

    @contextmanager
    def _gguf(self) -> Iterator[Path]:
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            file.write(DECODER_WHEEL.read(self.packages / DECODER_WHEEL.file))
            file.flush()
            yield Path(file.name)
