"""Multiple-choice questions: which letter an answer chooses."""

from __future__ import annotations

import re
from collections.abc import Sequence


def chosen_letter(text: str, choices: Sequence[str]) -> str:
    """A choice's own words, "A", "(b)", "B. a dog" or "The answer is C"; empty if it is none of these."""
    text, said = text.strip(), _words(text)
    letters = "ABCDEFGHIJ"[: len(choices)]
    matching = [letter for letter, choice in zip(letters, choices, strict=True) if said and _words(choice) == said]
    if len(matching) == 1:
        return matching[0]
    for pattern in (
        rf"^\(?([{letters}])\)?(?=[\s.:,)]|$)",
        rf"\b(?:answer|option|choice)(?: is)?:? \(?([{letters}])\)?(?![\w'])",
        rf"\(([{letters}])\)",
    ):
        if found := re.search(pattern, text, re.IGNORECASE):
            return found[1].upper()
    return ""


def _words(text: str) -> list[str]:
    return re.findall(r"[\w.]*\w", text.lower())
