"""Writes the tiny directories and converts them: FOLDER/NAME => FOLDER/NAME-hf; VILA's prompts are in FOLDER/NAME.json.

python tests/convert/make_directories.py FOLDER
"""

import json
import pathlib
import sys

from directories import converter, write_original
from vila_directories import NAMES, prompt, prompt_ids, tower_of, write_vila


def convert(source: pathlib.Path, *options: str) -> None:
    if converter.main([*options, str(source), f"{source}-hf"]):
        sys.exit(1)


def main(folder: pathlib.Path) -> None:
    for name, shards in (("internlm2", 3), ("qwen2", 1), ("llama", 2)):
        write_original(folder / name, name, shards)
        convert(folder / name)
    for name in NAMES:
        write_vila(folder / name, name)
        convert(folder / name, *tower_of(folder / name, name))
        image = json.loads((folder / f"{name}-hf" / "config.json").read_text())["image_token_index"]
        ids = prompt_ids(folder / name, name, prompt(name), image)
        (folder / f"{name}.json").write_text(json.dumps({"prompt": prompt(name), "ids": ids}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
