"""The server under attack, what the attack costs it, and what another caller notices."""

from __future__ import annotations

import contextlib
import os
import pathlib
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator

import grpc

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
from server_process import ServerProcess, memory_bytes
from varserve_api import VisionLanguageStub, pb

ROOT = pathlib.Path(__file__).resolve().parents[2]

METHOD = "/varserve.v1.VisionLanguage/"
MIB = 1 << 20
PICTURE = (ROOT / "models/embedded/samples/ships.jpg").read_bytes()


def machine() -> str:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return f"{len(os.sched_getaffinity(0))} cores of {cpu}"


class Memory(threading.Thread):
    """Watches a process's resident memory."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._stopped = pid, threading.Event()
        self.before = self.peak = memory_bytes(pid)
        self.start()

    def run(self) -> None:
        while not self._stopped.wait(0.05):
            with contextlib.suppress(OSError, IndexError):  # it has ended
                self.peak = max(self.peak, memory_bytes(self._pid))

    def stop(self) -> None:
        self._stopped.set()
        self.join()


class Caller:
    """An honest caller: connects by itself and asks one thing after the other."""

    def __init__(self, address: str, token: str = "", picture: bytes = PICTURE) -> None:
        self.channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self.stub = VisionLanguageStub(self.channel)
        self.metadata = [("authorization", f"Bearer {token}")] if token else None
        self._picture = picture

    def ask(self, question: str = "What is in the image?", tokens: int = 4, timeout: float = 60) -> tuple[float, str]:
        """(seconds, code)"""
        request = pb.AnswerRequest(
            images=[pb.Image(data=self._picture)],
            question=question,
            options=pb.GenerateOptions(max_tokens=tokens, ignore_eos=True),
        )
        start = time.monotonic()
        try:
            for _ in self.stub.Answer(request, metadata=self.metadata, timeout=timeout):
                pass
            code = "OK"
        except grpc.RpcError as error:
            code = error.code().name
        return time.monotonic() - start, code


class Bystander(threading.Thread):
    """Asks the same short question again and again while others do what they do."""

    def __init__(self, caller: Caller, pause: float = 0.1) -> None:
        super().__init__(daemon=True)
        self._caller, self._pause, self._stopped = caller, pause, threading.Event()
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self.start()

    def run(self) -> None:
        while not self._stopped.is_set():
            seconds, code = self._caller.ask()
            self.seconds.append(seconds)
            if code != "OK":
                self.failures.append(code)
            self._stopped.wait(self._pause)

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    @property
    def worst(self) -> float:
        return max(self.seconds, default=0.0)


def alone(caller: Caller, count: int = 8) -> float:
    """Median seconds of the bystander's question with nobody else."""
    return statistics.median(caller.ask()[0] for _ in range(count))


def call_raw(address: str, method: str, message: bytes, token: str = "", timeout: float = 120) -> str:
    """Sends these bytes as the request; how the call ended."""
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options=options) as channel:
        call = channel.unary_stream(METHOD + method, request_serializer=None, response_deserializer=None)
        metadata = [("authorization", f"Bearer {token}")] if token else None
        try:
            for _ in call(message, metadata=metadata, timeout=timeout):
                pass
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return "OK"


def together(*functions: Callable[[], object]) -> list:
    """Runs them at the same time; their results."""
    results: list = [None] * len(functions)

    def run(at: int) -> None:
        results[at] = functions[at]()

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@contextlib.contextmanager
def serving(build: str, model: str, *flags: str, piped: bool = False) -> Iterator[ServerProcess]:
    server = ServerProcess(build, model, *flags, piped=piped)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()
