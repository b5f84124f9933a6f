"""What the peers' processes share: the model is loaded once, then questions come as lines of JSON on standard input,
and answers go as lines of JSON to standard output. Whatever a library prints goes to standard error.

A question: {"pictures": [SEED, ...], "tokens": N}. The pictures' questions are asked at the same time.
An answer: {"prompt_tokens": N, "times": [[seconds of each token since the question came] of each picture]}, or
{"error": TEXT}.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable

import numpy as np
from PIL import Image

QUESTION = "What do you see in the picture, and what is it good for? " * 4
Answer = tuple[int, list[list[float]]]  # prompt tokens, times


def picture(seed: int, size: int = 336) -> Image.Image:
    """The one that model.py makes of this seed."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8))


def serve(load: Callable[[], Callable[[list[Image.Image], int], Answer]]) -> None:
    """Ends with standard input. `load` returns what answers."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def reply(content: dict) -> None:
        answers.write(json.dumps(content) + "\n")

    try:
        ask = load()
        reply({"ready": True})
        for line in sys.stdin:
            question = json.loads(line)
            pictures = [picture(seed, question.get("size", 336)) for seed in question["pictures"]]
            prompt_tokens, times = ask(pictures, question["tokens"])
            reply({"prompt_tokens": prompt_tokens, "times": times})
    except Exception as error:  # the peer's, of whatever kind: it becomes the reason why a row is missing
        traceback.print_exc()
        reply({"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]})
