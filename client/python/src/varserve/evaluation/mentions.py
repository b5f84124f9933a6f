"""Which objects a text mentions, by a list of names: the rules of CHAIR (Rohrbach et al., Object Hallucination in Image
Captioning, EMNLP 2018), written anew. A synonym is the object's own name, a plural its singular, and a longer name
comes before the shorter one it contains."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

_IRREGULAR = {
    "person": ("people", "persons"),
    "man": ("men",),
    "woman": ("women",),
    "child": ("children",),
    "mouse": ("mice",),
    "goose": ("geese",),
    "ox": ("oxen",),
    "foot": ("feet",),
    "tooth": ("teeth",),
    "leaf": ("leaves",),
    "calf": ("calves",),
    "knife": ("knives",),
    "wolf": ("wolves",),
    "loaf": ("loaves",),
    "shelf": ("shelves",),
    "scarf": ("scarves",),
}
# "baby elephant" is an elephant and no baby, "passenger train" a train and no passenger.
_ANIMALS = ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "animal", "cub")
_VEHICLES = ("train", "jet", "plane", "airplane", "bus", "boat", "ship", "ferry", "car", "van")
# They contain the name of an object and are none.
_NO_OBJECTS = ("train track", "home plate", "toilet seat", "seat of the toilet", "seat on the toilet")


class Vocabulary:
    """`synonyms`: each object with its other names."""

    def __init__(self, synonyms: Mapping[str, Iterable[str]]) -> None:
        self._objects: dict[str, str] = {}
        for name, others in synonyms.items():
            for one in (name, *others):
                for spelling in spellings(one):
                    self._objects.setdefault(spelling, name)
        for phrase in _NO_OBJECTS:
            self._objects.update(dict.fromkeys(spellings(phrase), ""))
        longest_first = sorted(self._objects, key=len, reverse=True)
        self._pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})(?![\w-])")
        young = "|".join(spelling for animal in _ANIMALS for spelling in spellings(animal))
        carrying = "|".join(spelling for vehicle in _VEHICLES for spelling in spellings(vehicle))
        self._attribute = re.compile(rf"\b(?:baby|adult)(?= (?:{young})\b)|\bpassenger(?= (?:{carrying})\b)")

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> Vocabulary:
        """One object a line, with its synonyms after commas."""
        names = [[name.strip() for name in line.split(",")] for line in lines if line.strip() and line[0] != "#"]
        return cls({name: others for name, *others in names})

    def mentioned(self, text: str) -> Sequence[str]:
        """The objects in order, once for each mention."""
        text = self._attribute.sub("", re.sub(r"\s+", " ", text.lower()))
        found = (self._objects[spelling] for spelling in self._pattern.findall(text))
        return [name for name in found if name]


def spellings(name: str) -> tuple[str, ...]:
    """A name in lower case and its plurals."""
    name = name.lower()
    start, space, word = name.rpartition(" ")
    if word in _IRREGULAR:
        plurals: tuple[str, ...] = _IRREGULAR[word]
    elif word.endswith("man") and word != "human":
        plurals = (word[:-3] + "men",)
    elif re.search(r"(s|x|z|ch|sh)$", word):
        plurals = (word + "es",)
    elif re.search(r"[^aeiou]y$", word):
        plurals = (word[:-1] + "ies",)
    elif word.endswith("o"):
        plurals = (word + "s", word + "es")
    else:
        plurals = (word + "s",)
    return (name, *(start + space + plural for plural in plurals))
