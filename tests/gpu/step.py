"""What every step's program has:
its arguments, and rows of results, which go to run.py line by line as they are known."""

import argparse
import dataclasses
import json
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
FEW_LAYERS = (2, 3)  # a step of the one less a step of the other is a layer


@dataclasses.dataclass(frozen=True)
class Settings:
    device: str  # "cuda" or "cpu"
    tiny: bool  # small models and few requests: to try the programs on any machine
    work: pathlib.Path  # models and what one step leaves for another
    out: pathlib.Path  # logs

    @property
    def embedded(self) -> pathlib.Path:
        return self.work / "embedded"

    @property
    def seven_billion(self) -> pathlib.Path:
        return self.work / "seven_billion"

    def few_layers(self, layers: int) -> pathlib.Path:
        """The 7B with so many layers, one of FEW_LAYERS."""
        return self.work / f"layers_{layers}"

    @property
    def threads(self) -> int:
        return len(os.sched_getaffinity(0))


def settings() -> Settings:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--scale", choices=("full", "tiny"), default="full")
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    return Settings(args.device, args.scale == "tiny", args.work, args.out)


def row(name: str, value: float | str, unit: str = "") -> None:
    """A line of the step's table; takes the place of an earlier one of this name."""
    print(json.dumps({"row": [name, value, unit]}), flush=True)


def detail(name: str, value: object) -> None:
    """For the JSON file alone; `value` is anything that JSON can say."""
    print(json.dumps({"detail": [name, value]}), flush=True)
