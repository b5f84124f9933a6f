"""The objects that a scene can contain: names, kinds and the Unicode characters that depict them (objects.tsv)."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Object:
    name: str
    plural: str
    category: str
    emoji: tuple[str, ...]  # each one depicts the object; without variation selectors

    @property
    def indefinite(self) -> str:
        vowel = self.name[0] in "aeiou" and not self.name.startswith("uni")
        return ("an " if vowel else "a ") + self.name

    @property
    def definite(self) -> str:
        return "the " + self.name

    def may_be_called(self, other: "Object") -> bool:
        """Whether people could disagree: a police car is a car, and a boot a shoe."""
        pair = {self.name, other.name}
        return self.name.split()[-1] == other.name.split()[-1] or pair <= {"car", "taxi"} or pair <= {"boot", "shoe"}


@cache
def load_objects() -> tuple[Object, ...]:
    with Path(__file__).with_name("objects.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return tuple(Object(r["name"], r["plural"], r["category"], tuple(r["emoji"].split())) for r in rows)
