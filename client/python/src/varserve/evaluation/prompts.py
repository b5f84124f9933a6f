"""Instructions that several benchmarks' protocols add to a question."""

from __future__ import annotations

ONE_WORD = "\nAnswer the question using a single word or phrase."
UNANSWERABLE = "\nWhen the provided information is insufficient, respond with 'Unanswerable'."
LETTER = "\nAnswer with the option's letter from the given choices directly."

NO_INSTRUCTION = "The benchmark has no instruction of its own; official is that of LLaVA-1.5's evaluation."


def one_word(question: str) -> str:
    return question + ONE_WORD
