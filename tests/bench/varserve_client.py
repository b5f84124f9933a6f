"""What the benchmarks need of a running server: start it, ask it, stop it."""

import contextlib
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import varserve

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
from server_process import Path, ServerProcess, memory_bytes


class Answer(NamedTuple):
    """The chunks of an answer: when each came, by time.monotonic(), and its tokens; and the whole reply."""

    chunks: list[tuple[float, int]]
    reply: varserve.Reply

    @property
    def token_times(self) -> list[float]:
        return [when for when, tokens in self.chunks for _ in range(tokens)]

    @property
    def seconds_after_first(self) -> float:
        return self.chunks[-1][0] - self.chunks[0][0]


class Server(ServerProcess):
    """A server that is ready, and a client of it; `load_seconds` from start to ready."""

    def __init__(self, build: Path, model: Path, *flags: str) -> None:
        super().__init__(build, model, *flags, metrics="", piped=True)
        self.load_seconds = self.wait_until_ready(3600)
        self.echo()
        self.client = varserve.Client(self.address)

    def peak_bytes(self) -> int:
        return memory_bytes(self.process.pid, "VmHWM")

    def answer(
        self,
        image: bytes,
        question: str,
        max_tokens: int,
        setting: varserve.Var | varserve.Intervention | None = None,
        temperature: float = 0.0,
    ) -> Answer:
        """As long as asked for, whatever the model says."""
        kind = "var" if isinstance(setting, varserve.Var) else "intervention"
        options = {"max_tokens": max_tokens, "ignore_eos": True, "temperature": temperature, kind: setting}
        stream = self.client.ask_stream(image, question, **options)
        chunks = [(time.monotonic(), len(chunk.tokens)) for chunk in stream]
        return Answer(chunks, stream.reply())


@contextlib.contextmanager
def server(build: Path, model: Path, *flags: str) -> Iterator[Server]:
    running = Server(build, model, *flags)
    try:
        yield running
    finally:
        running.client.close()
        running.stop()
