"""What the benchmarks need of a running server: start it, ask it, stop it."""

import contextlib
import pathlib
import sys
import time
from collections.abc import Iterator

import grpc

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
from server_process import Path, ServerProcess, memory_bytes
from varserve_api import pb, services, var_pb


class Server(ServerProcess):
    """A server that is ready, and a channel to it; `load_seconds` from start to ready."""

    def __init__(self, build: Path, model: Path, *flags: str) -> None:
        super().__init__(build, model, *flags, metrics="", piped=True)
        self.load_seconds = self.wait_until_ready(3600)
        self.echo()
        self.channel = grpc.insecure_channel(self.address)
        self.stub = services.VisionLanguageStub(self.channel)

    def peak_bytes(self) -> int:
        return memory_bytes(self.process.pid, "VmHWM")

    def answer(
        self, image: bytes, question: str, max_tokens: int, var: "var_pb.VarOptions | None" = None, **options: float
    ) -> "tuple[float, float, int, pb.Finished]":
        """(seconds to the first token, seconds from there to the end, tokens, Finished)"""
        request = pb.AnswerRequest(
            images=[pb.Image(data=image)],
            question=question,
            options=pb.GenerateOptions(max_tokens=max_tokens, ignore_eos=True, **options),
            var=var,
        )
        first, tokens, finished = None, 0, None
        for response in self.stub.Answer(request):
            kind = response.WhichOneof("event")
            if kind == "delta":
                first = first or time.monotonic()
                tokens += len(response.delta.token_ids)
            elif kind == "finished":
                finished = response.finished
        end = time.monotonic()
        return finished.timing.first_token_seconds, end - first, tokens, finished


@contextlib.contextmanager
def server(build: Path, model: Path, *flags: str) -> Iterator[Server]:
    running = Server(build, model, *flags)
    try:
        yield running
    finally:
        running.stop()
