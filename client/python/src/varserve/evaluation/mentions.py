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
# They only contain the name of an object.
_NO_OBJECTS = ("train track", "home plate")
# Beside a toilet it is a part of it, not a chair.
_SEAT = {"seat", "seats"}


class Vocabulary:
    """`synonyms`: each object with its other names."""

    def __init__(self, synonyms: Mapping[str, Iterable[str]]) -> None:
        self._objects: dict[tuple[str, ...], str] = {}  # by the words of a name
        for name, others in synonyms.items():
            for spelling in (spelling for one in (name, *others) for spelling in spellings(one)):
                self._objects.setdefault(_words(spelling), name)
        for phrase in _NO_OBJECTS:
            self._objects.update({_words(spelling): "" for spelling in spellings(phrase)})
        self._longest = max(map(len, self._objects), default=0)

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> Vocabulary:
        """One object a line, with its synonyms after commas."""
        names = [[name.strip() for name in line.split(",")] for line in lines if line.strip() and line[0] != "#"]
        return cls({name: others for name, *others in names})

    def mentioned(self, text: str) -> Sequence[str]:
        """The objects in order, once for each mention."""
        words, found, at = _words(text), [], 0
        if "toilet" in words:
            words = tuple(word for word in words if word not in _SEAT)
        while at < len(words):
            length = 1
            if words[at : at + 2] not in _ATTRIBUTES:
                length = next((n for n in range(self._longest, 0, -1) if words[at : at + n] in self._objects), 0)
                found.append(self._objects.get(words[at : at + length], ""))
            at += max(length, 1)
        return [name for name in found if name]


def _words(text: str) -> tuple[str, ...]:
    """In lower case, with marks as words of their own; a compound with a hyphen is one word."""
    return tuple(re.findall(r"\w+(?:-\w+)*|[^\w\s]", text.lower()))


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


_ATTRIBUTES = {
    *((young, word) for young in ("baby", "adult") for animal in _ANIMALS for word in spellings(animal)),
    *(("passenger", word) for vehicle in _VEHICLES for word in spellings(vehicle)),
}
