"""When the tokens of transformers' generate came."""

import time

import torch
from transformers.generation.streamers import BaseStreamer


class TokenClock(BaseStreamer):
    """A streamer that keeps the times; the first is the prompt's."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        self.times.append(time.monotonic())

    def end(self) -> None:
        pass
