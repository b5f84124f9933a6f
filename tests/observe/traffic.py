"""Requests as applications send them:
questions, captions, chats and comparisons, with and without VAR, about a few pictures."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import random
import sys
import threading
from collections.abc import Iterator

import grpc

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
from varserve_api import pb, services, var_pb

ROOT = pathlib.Path(__file__).resolve().parents[2]

PICTURES = sorted((ROOT / "models/embedded/samples").glob("*.jpg"))
QUESTIONS = (
    "What is in the image?",
    "What color is the background?",
    "How many objects are there?",
    "Is there a person in the image?",
)
MODES = {"off": var_pb.VAR_MODE_OFF, "observe": var_pb.VAR_MODE_OBSERVE, "on": var_pb.VAR_MODE_ON}
PRESETS = {
    "general": var_pb.VAR_PRESET_GENERAL,
    "hallucination": var_pb.VAR_PRESET_HALLUCINATION,
    "vision_centric": var_pb.VAR_PRESET_VISION_CENTRIC,
}


OTHERS = ("pai", "vaf", "spin", "vcd", "icd", "m3id")  # interventions instead of VAR

Message = pb.AnswerRequest | pb.CaptionRequest | pb.GenerateRequest | pb.CompareRequest


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

    def message(self) -> Message:
        image = pb.Image(data=self.picture.read_bytes())
        options = pb.GenerateOptions(max_tokens=self.max_tokens)
        var = [_var_options(mode, preset) for mode, preset in self.settings]
        if self.other:
            request = pb.AnswerRequest(images=[image], question=self.question, options=options)
            getattr(request.intervention, self.other).SetInParent()
            return request
        if self.method == "Answer":
            return pb.AnswerRequest(images=[image], question=self.question, options=options, var=var[0])
        if self.method == "Caption":
            return pb.CaptionRequest(image=image, options=options, var=var[0])
        parts = [pb.Part(image=image), pb.Part(text=self.question)]
        chat = pb.GenerateRequest(messages=[pb.Message(role=pb.ROLE_USER, parts=parts)], options=options)
        if self.method == "Generate":
            chat.var.CopyFrom(var[0])
            return chat
        return pb.CompareRequest(request=chat, settings=var)


def _var_options(mode: str, preset: str) -> var_pb.VarOptions:
    if preset == "custom":
        return var_pb.VarOptions(mode=MODES[mode], rho=0.3)
    return var_pb.VarOptions(mode=MODES[mode], preset=PRESETS[preset])


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one setting of a request came to. `finished` where the code is OK."""

    ask: Ask
    mode: str
    preset: str
    code: str
    finished: pb.Finished | None = None


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


class Client:
    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
        self.stub = services.VisionLanguageStub(self._channel)

    def send(self, ask: Ask, **call_options: object) -> list[Answer]:
        """One answer for each setting."""
        finished: dict[int, pb.Finished] = {}
        try:
            for reply in getattr(self.stub, ask.method)(ask.message(), **call_options):
                response = reply.response if ask.method == "Compare" else reply
                if response.WhichOneof("event") == "finished":
                    finished[reply.setting if ask.method == "Compare" else 0] = response.finished
        except grpc.RpcError as error:
            return [Answer(ask, mode, preset, error.code().name) for mode, preset in ask.settings]
        return [Answer(ask, mode, preset, "OK", finished[i]) for i, (mode, preset) in enumerate(ask.settings)]

    def close(self) -> None:
        self._channel.close()


def send_all(address: str, asks: Iterator[Ask], workers: int, stop: threading.Event | None = None) -> list[Answer]:
    """Sends them, `workers` at a time, until all are sent or `stop` is set."""
    answers: list[Answer] = []
    lock = threading.Lock()
    asks = iter(asks)

    def work() -> None:
        client = Client(address)
        while stop is None or not stop.is_set():
            with lock:
                ask = next(asks, None)
            if ask is None:
                break
            answered = client.send(ask)
            with lock:
                answers.extend(answered)
        client.close()

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
