"""Converts a model directory in the layout of its own code to one that VARServe loads."""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Sequence

import internvl.directory
import vila.directory
from fields import Fields, Refused

DESCRIPTION = """\
Converts a directory as it is on the hub, in the layout of its own code, to one that varserve-server loads:
  InternVL2, InternVL2.5 (config.json: model_type internvl_chat), also for transformers;
  VILA 1.0, VILA1.5 (config.json: model_type llava_llama), for transformers only with CLIP and mlp2x_gelu.
Runs no code of the directory. Writes as many bytes as it reads, and needs little memory."""


def say(text: str) -> None:
    print(f"convert: {text}", flush=True)


def convert(source: pathlib.Path, target: pathlib.Path, tower: pathlib.Path | None) -> None:
    """Into an empty folder."""
    fields = Fields.read(source / "config.json")
    if fields.only("model_type", "internvl_chat", "llava_llama") == "llava_llama":
        vila.directory.convert(source, target, tower, say)
    elif tower is not None:
        raise Refused("--vision_tower: InternVL's tower is in its directory; leave the flag out")
    else:
        internvl.directory.convert(source, target, say)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="convert", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=pathlib.Path, metavar="SOURCE", help="the directory to convert")
    parser.add_argument("target", type=pathlib.Path, metavar="TARGET", help="the directory to write; must not exist")
    parser.add_argument(
        "--vision_tower",
        type=pathlib.Path,
        metavar="DIR",
        help="VILA 1.0: the directory of the CLIP model that config.json names (mm_vision_tower)",
    )
    arguments = parser.parse_args(words)
    target = arguments.target.absolute()
    partial = None
    try:
        if os.path.lexists(target):
            raise Refused(f"{target}: exists already")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = pathlib.Path(tempfile.mkdtemp(prefix=f"{target.name}.partial-", dir=target.parent))
        if arguments.vision_tower is not None and not arguments.vision_tower.is_dir():
            raise Refused(f"--vision_tower: {str(arguments.vision_tower)!r} is not a directory")
        convert(arguments.source, partial, arguments.vision_tower)
        partial.chmod(0o755)
        partial.rename(target)
    except (Refused, OSError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    finally:
        if partial:
            shutil.rmtree(partial, ignore_errors=True)
    say(f"wrote {target}")
    return 0
