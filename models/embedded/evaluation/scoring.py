"""Judges replies by rule: the objects, colours, numbers and places that they mention, and yes or no.

Lenient on wording, strict on content, so that other models' replies can be judged too.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

from scenes.captions import COUNT_WORDS
from scenes.colors import COLORS
from scenes.objects import load_objects
from scenes.questions import Question

_CHOICES = {
    "yes_no": ("yes", "no"),
    "left_right": ("left", "right"),
    "above_below": ("above", "below"),
    "size": ("small", "big"),
    "color": (*COLORS, "photograph"),
    "count": COUNT_WORDS,
}
_KIND_CHOICES = {
    "relation": "yes_no",
    "left_right": "left_right",
    "above_below": "above_below",
    "size": "size",
    "color": "color",
    "background": "color",
}
_YES_NO_PREFIXES = ("exists", "leading", "lacking", "category")
_SYNONYMS = {"grey": "gray", "large": "big", "photo": "photograph", "zero": "none", "under": "below"} | {
    str(number): word for number, word in enumerate(COUNT_WORDS) if number
}
_MORE = "more than"


@dataclass(frozen=True)
class Verdict:
    right: bool
    mentioned: Counter[str] = field(default_factory=Counter)  # objects, in captions and lists
    invented: Counter[str] = field(default_factory=Counter)  # mentioned objects that are not in the scene


def judge(question: Question, reply: str) -> Verdict:
    kind = question.kind
    if question.objects:
        mentioned = mentioned_objects(reply)
        invented = Counter({name: n for name, n in mentioned.items() if name not in question.objects})
        return Verdict(set(mentioned) == question.objects, mentioned, invented)
    if kind.startswith(_YES_NO_PREFIXES):
        return Verdict(_words(reply)[:1] == _words(question.answer)[:1])
    if kind.startswith("count"):
        said, expected = (_choices(text, "count") for text in (reply, question.answer))
        return Verdict(said == expected and (_MORE in reply.lower()) == (_MORE in question.answer.lower()))
    if kind in _KIND_CHOICES:
        group = _KIND_CHOICES[kind]
        return Verdict(_choices(reply, group) == _choices(question.answer, group))
    if kind == "of_absent":
        return Verdict(
            "no" in _words(reply) and set(mentioned_objects(reply)) == set(mentioned_objects(question.answer))
        )
    if kind == "where":
        return Verdict(_words(reply) == _words(question.answer))
    # The remaining kinds ask for one object: neighbor, nearest, which_is_missing.
    return Verdict(set(mentioned_objects(reply)) == set(mentioned_objects(question.answer)))


def mentioned_objects(text: str) -> Counter[str]:
    """The objects that a text mentions, singular or plural. Longer names first: a police car is not a car."""
    names, pattern = _object_pattern()
    return Counter(names[match] for match in pattern.findall(text.lower()))


@cache
def _object_pattern() -> tuple[dict[str, str], re.Pattern[str]]:
    names = {spelling: item.name for item in load_objects() for spelling in (item.name, item.plural)}
    longest_first = sorted(names, key=len, reverse=True)
    return names, re.compile(rf"\b({'|'.join(map(re.escape, longest_first))})\b")


def _words(text: str) -> list[str]:
    return [_SYNONYMS.get(word, word) for word in re.findall(r"[a-z]+|\d+", text.lower())]


def _choices(text: str, group: str) -> set[str]:
    return set(_words(text)) & set(_CHOICES[group])
