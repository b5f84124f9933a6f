"""Write a small benchmark in the files of POPE and of CHAIR, made of hard scenes.

The scenes are their own split, drawn with the sets that may be in the repository. varserve-eval reads the folder.
"""

import argparse
import json
import random
import sys
from collections import Counter
from pathlib import Path

from scenes.captions import caption
from scenes.objects import Object, load_objects
from scenes.photographs import BACKGROUNDS, Photographs, read_photographs
from scenes.scene import Difficulty, Scene, SceneMaker
from scenes.sprites import EMOJI_SETS, Drawings, load_drawings

SPLIT = "benchmark"
SETS = ("noto", "fluent-emoji-flat", "fluent-emoji-3d")  # Apache-2.0 and MIT
ASKED = 3  # objects that are there, and as many that are not, for each picture
QUALITY = 85


def scene_maker(packages: Path, cache: Path) -> SceneMaker:
    drawings: Drawings = {}
    for emoji_set in EMOJI_SETS:
        if emoji_set.name in SETS:
            for name, pictures in load_drawings(emoji_set, packages, cache / "drawings").items():
                drawings.setdefault(name, []).extend(pictures)
    return SceneMaker(drawings, Photographs(read_photographs(BACKGROUNDS, packages)))


def choose_scenes(maker: SceneMaker, number: int) -> list[Scene]:
    """The first ones with enough objects to ask about."""
    scenes: list[Scene] = []
    index = 0
    while len(scenes) < number:
        scene = maker.make(SPLIT, index, Difficulty.HARD)
        if len(scene.counts) >= ASKED:
            scenes.append(scene)
        index += 1
    return scenes


class Absent:
    """Objects that are not in a scene, by the three rules of POPE."""

    def __init__(self, scenes: list[Scene]) -> None:
        self._frequent = Counter(item for scene in scenes for item in scene.counts)
        self._together = Counter(
            (one, other) for scene in scenes for one in scene.counts for other in scene.counts if one != other
        )

    def choose(self, rule: str, scene: Scene, rng: random.Random) -> list[Object]:
        """random: any; popular: the most frequent; adversarial: the most frequent beside those that are there, and
        their own kind."""
        others = [item for item in load_objects() if not any(item.may_be_called(there) for there in scene.counts)]
        rng.shuffle(others)
        if rule == "popular":
            others.sort(key=lambda item: -self._frequent[item])
        if rule == "adversarial":
            kinds = {item.category for item in scene.counts}
            others.sort(
                key=lambda item: (
                    -sum(self._together[item, there] for there in scene.counts),
                    item.category not in kinds,
                )
            )
        return others[:ASKED]


def write_pope(out: Path, scenes: list[Scene]) -> None:
    absent = Absent(scenes)
    for rule in ("random", "popular", "adversarial"):
        lines = []
        for i, scene in enumerate(scenes):
            present = random.Random(f"present/{i}").sample(list(scene.counts), ASKED)
            missing = absent.choose(rule, scene, random.Random(f"{rule}/{i}"))
            for there, other in zip(present, missing, strict=True):
                for item, label in ((there, "yes"), (other, "no")):
                    text = f"Is there {item.indefinite} in the image?"
                    number = len(lines) + 1
                    lines.append({"question_id": number, "image": image_name(i), "text": text, "label": label})
        (out / f"coco_pope_{rule}.json").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_chair(out: Path, scenes: list[Scene]) -> None:
    ids = {item: i for i, item in enumerate(load_objects(), start=1)}
    images = [{"id": i, "file_name": image_name(i)} for i in range(len(scenes))]
    instances = {
        "images": images,
        "categories": [{"id": i, "name": item.name} for item, i in ids.items()],
        "annotations": [
            {"image_id": i, "category_id": ids[placed.object], "bbox": [placed.x, placed.y, placed.side, placed.side]}
            for i, scene in enumerate(scenes)
            for placed in scene.placed
        ],
    }
    captions = [{"image_id": i, "caption": caption(scene, "medium")} for i, scene in enumerate(scenes)]
    (out / "instances_val2014.json").write_text(json.dumps(instances) + "\n")
    (out / "captions_val2014.json").write_text(json.dumps({"images": images, "annotations": captions}) + "\n")
    (out / "synonyms.txt").write_text("".join(f"{item.name}, {item.plural}\n" for item in ids))


def image_name(index: int) -> str:
    return f"scene_{index:02}.jpg"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, metavar="DIR", help="what fetch.py downloads")
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR", help="where drawings are kept")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "benchmark", metavar="DIR")
    parser.add_argument("--scenes", type=int, default=40, metavar="N", help="default: %(default)s")
    args = parser.parse_args()
    (args.out / "images").mkdir(parents=True, exist_ok=True)
    scenes = choose_scenes(scene_maker(args.packages, args.cache), args.scenes)
    for i, scene in enumerate(scenes):
        scene.picture.save(args.out / "images" / image_name(i), quality=QUALITY)
    write_pope(args.out, scenes)
    write_chair(args.out, scenes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
