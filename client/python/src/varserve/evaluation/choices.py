"""Multiple-choice questions: which letter an answer chooses."""

from __future__ import annotations

import re
from collections.abc import Sequence


def chosen_letter(text: str, choices: Sequence[str]) -> str:
    """ "A", "(b)", "B. a dog", "The answer is C", or a choice's own words; empty if it is none of these."""
    text = text.strip()
    letters = "ABCDEFGHIJ"[: len(choices)]
    for pattern in (
        rf"^\(?([{letters}])\)?(?=[\s.:,)]|$)",
        rf"\b(?:answer|option|choice)(?: is)?:? \(?([{letters}])\)?(?![\w'])",
        rf"\(([{letters}])\)",
    ):
        if found := re.search(pattern, text, re.IGNORECASE):
            return found[1].upper()
    said = _words(text)
    matching = [letter for letter, choice in zip(letters, choices, strict=True) if choice and _words(choice) == said]
    return matching[0] if len(matching) == 1 else ""


def _words(text: str) -> list[str]:
    return re.findall(r"[\w.]*\w", text.lower())
