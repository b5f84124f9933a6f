"""Requests as applications send them:
questions, captions, chats and comparisons, with and without VAR, about a few pictures."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import random
import threading
from collections.abc import Iterator

from varserve import Client, Icd, M3id, Pai, Reply, Spin, Vaf, Var, VarserveError, Vcd

ROOT = pathlib.Path(__file__).resolve().parents[2]

PICTURES = sorted((ROOT / "models/embedded/samples").glob("*.jpg"))
QUESTIONS = (
    "What is in the image?",
    "What color is the background?",
    "How many objects are there?",
    "Is there a person in the image?",
)
MODES = ("off", "observe", "on")
PRESETS = ("general", "hallucination", "vision_centric")
# Interventions instead of VAR.
OTHERS = {"pai": Pai(), "vcd": Vcd(), "vaf": Vaf(), "icd": Icd(), "spin": Spin(), "m3id": M3id()}


@dataclasses.dataclass(frozen=True)
class Ask:
    """One request. `settings`: mode and preset; several only of Compare. The preset "custom" is general with a rho of
    its own. `other`: an intervention instead of VAR, then off; only of Answer."""

    method: str
    picture: pathlib.Path
    question: str
    settings: tuple[tuple[str, str], ...]
    max_tokens: int
    other: str = ""

    def send(self, client: Client, **call_options: float | str) -> list[Reply]:
        """One reply for each setting."""
        var = [_var(mode, preset) for mode, preset in self.settings]
        options = {"max_tokens": self.max_tokens, **call_options}
        if self.other:
            return [client.ask(self.picture, self.question, intervention=OTHERS[self.other], **options)]
        if self.method == "Answer":
            return [client.ask(self.picture, self.question, var=var[0], **options)]
        if self.method == "Caption":
            return [client.caption(self.picture, var=var[0], **options)]
        if self.method == "Compare":
            return client.compare(self.picture, self.question, var, **options)
        parts = [{"type": "image", "image": self.picture}, {"type": "text", "text": self.question}]
        return [client.chat([{"role": "user", "content": parts}], var=var[0], **options)]


def _var(mode: str, preset: str) -> Var:
    return Var(mode=mode, rho=0.3) if preset == "custom" else Var(mode=mode, preset=preset)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one setting of a request came to. `reply` where the code is OK."""

    ask: Ask
    mode: str
    preset: str
    code: str
    reply: Reply | None = None


def mixed(seed: int, max_tokens: int = 16) -> Iterator[Ask]:
    """Without end; half of it plain questions, as applications ask them, each kind of the rest now and then."""
    chance = random.Random(seed)
    presets = itertools.cycle((*PRESETS, "custom"))
    modes = itertools.cycle(("off", "on", "on", "observe"))
    methods = itertools.cycle(
        ("Answer", "Answer", "Caption", "Other", "Answer", "Generate", "Answer", "Compare", "Answer")
    )
    others = itertools.cycle(OTHERS)
    while True:
        method = next(methods)
        if method == "Other":
            picture, question = chance.choice(PICTURES), chance.choice(QUESTIONS)
            yield Ask("Answer", picture, question, (("off", "general"),), max_tokens, next(others))
            continue
        if method == "Compare":
            preset = next(presets)
            settings = tuple((mode, preset) for mode in MODES)
        else:
            settings = ((next(modes), next(presets)),)
        yield Ask(method, chance.choice(PICTURES), chance.choice(QUESTIONS), settings, max_tokens)


def send(client: Client, ask: Ask, **call_options: float | str) -> list[Answer]:
    """One answer for each setting."""
    try:
        replies = ask.send(client, **call_options)
    except VarserveError as error:
        return [Answer(ask, mode, preset, error.code) for mode, preset in ask.settings]
    return [Answer(ask, mode, preset, "OK", reply) for (mode, preset), reply in zip(ask.settings, replies, strict=True)]


def send_all(address: str, asks: Iterator[Ask], workers: int, stop: threading.Event | None = None) -> list[Answer]:
    """Sends them, `workers` at a time, until all are sent or `stop` is set."""
    answers: list[Answer] = []
    lock = threading.Lock()
    asks = iter(asks)

    def work() -> None:
        with Client(address) as client:
            while stop is None or not stop.is_set():
                with lock:
                    ask = next(asks, None)
                if ask is None:
                    break
                answered = send(client, ask)
                with lock:
                    answers.extend(answered)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
