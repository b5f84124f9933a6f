"""Requests of all kinds,
always the same: pictures and conversations, VAR's modes, variants, presets and details, options."""

import random

from step import ROOT
from varserve_api import pb, var_pb

PICTURES = sorted((ROOT / "models" / "embedded" / "samples").glob("*.jpg"))
QUESTIONS = (
    "What is in the image?",
    "What color is the background?",
    "How many objects are there, and where are they? Count each of them only once.",
    "Describe the image.",
)
MODES = (var_pb.VAR_MODE_OFF, var_pb.VAR_MODE_OBSERVE, var_pb.VAR_MODE_ON, var_pb.VAR_MODE_ON)
VARIANTS = (var_pb.VAR_VARIANT_PAPER, var_pb.VAR_VARIANT_AUTHORS_CODE)
PRESETS = (var_pb.VAR_PRESET_GENERAL, var_pb.VAR_PRESET_HALLUCINATION, var_pb.VAR_PRESET_VISION_CENTRIC)
DETAILS = (var_pb.VAR_DETAIL_NONE, var_pb.VAR_DETAIL_LAYERS, var_pb.VAR_DETAIL_TOKENS, var_pb.VAR_DETAIL_MAPS)


def _user(chance: random.Random, pictures: int) -> pb.Message:
    parts = [pb.Part(image=pb.Image(data=chance.choice(PICTURES).read_bytes())) for _ in range(pictures)]
    parts.append(pb.Part(text=chance.choice(QUESTIONS)))
    return pb.Message(role=pb.ROLE_USER, parts=parts)


def _messages(chance: random.Random) -> list:
    messages = []
    if chance.random() < 0.2:
        messages.append(pb.Message(role=pb.ROLE_SYSTEM, parts=[pb.Part(text="Answer in few words.")]))
    messages.append(_user(chance, chance.choice((0, 1, 1, 1, 1, 2, 3))))
    if chance.random() < 0.3:
        messages.append(pb.Message(role=pb.ROLE_ASSISTANT, parts=[pb.Part(text="A ship on the sea.")]))
        messages.append(_user(chance, chance.choice((0, 0, 1))))
    return messages


def _var(chance: random.Random, number: int) -> var_pb.VarOptions:
    var = var_pb.VarOptions(
        mode=MODES[number % 4],
        variant=VARIANTS[number // 4 % 2],
        preset=PRESETS[number % 3],
        detail=DETAILS[number // 3 % 4],
    )
    if chance.random() < 0.5:  # so that most heads are changed
        var.rho, var.min_visual_attention = 0.3, 0.05
    if var.detail == var_pb.VAR_DETAIL_MAPS and chance.random() < 0.5:
        var.map_layers.extend((3, 9))
    return var


def mixed_requests(count: int) -> list:
    """Greedy GenerateRequests."""
    requests = []
    for number in range(count):
        chance = random.Random(number)
        options = pb.GenerateOptions(max_tokens=chance.randint(8, 32), temperature=0, ignore_eos=number % 2 == 0)
        if number % 3 == 0:
            options.logprobs = 5
        if number % 7 == 0:
            options.repetition_penalty = 1.2
        requests.append(pb.GenerateRequest(messages=_messages(chance), options=options, var=_var(chance, number)))
    return requests
