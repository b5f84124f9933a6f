"""Captions of a scene in three lengths, with the prompts of the server's Caption call."""

from collections import Counter

from scenes.objects import Object
from scenes.scene import PHOTOGRAPH, SIDE, Placed, Scene

CAPTION_PROMPTS = {
    "short": "Describe the image briefly.",
    "medium": "Describe the image.",
    "long": "Describe the image in detail.",
}
COUNT_WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def count_word(number: int) -> str:
    return COUNT_WORDS[number]


def enumerate_objects(counts: Counter[Object]) -> str:
    """'a dog, two cats and a car', in the order given."""
    phrases = [
        item.indefinite if number == 1 else f"{count_word(number)} {item.plural}" for item, number in counts.items()
    ]
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def caption(scene: Scene, length: str) -> str:
    objects = enumerate_objects(scene.counts)
    if length == "short":
        return f"{objects[0].upper()}{objects[1:]}."
    ground = "in front of a photograph" if scene.background == PHOTOGRAPH else f"on {_colored(scene.background)}"
    sentence = f"The image shows {objects} {ground}."
    if length == "medium":
        return sentence
    return " ".join([sentence, *(_locate(placed, scene) for placed in scene.placed)])


def place_of(placed: Placed) -> str:
    """An object's place in the image, by thirds."""
    column, row = (min(2, int(3 * at / SIDE)) for at in placed.center)
    vertical, horizontal = ("top", "", "bottom")[row], ("left", "", "right")[column]
    return f"at the {' '.join(filter(None, (vertical, horizontal))) or 'center'}"


def _locate(placed: Placed, scene: Scene) -> str:
    article = "The" if scene.counts[placed.object] == 1 else "One"
    size = f"{placed.size} " if placed.size and article == "The" else ""
    return f"{article} {size}{placed.object.name} is {place_of(placed)}."


def _colored(color: str) -> str:
    return f"{'an' if color[0] in 'aeio' else 'a'} {color} background"
