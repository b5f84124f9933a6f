"""What the benchmarks need of a running server: start it, ask it, stop it."""

import contextlib
import importlib
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from types import ModuleType
from typing import IO

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
_stubs = tempfile.TemporaryDirectory()


def _compile_protos(out: str) -> None:
    from grpc_tools import protoc

    protos = ["varserve/v1/var.proto", "varserve/v1/inference.proto"]
    if protoc.main(["protoc", f"-I{ROOT}/proto", f"--python_out={out}", f"--grpc_python_out={out}", *protos]) != 0:
        raise RuntimeError("the protos do not compile")


def _import_protos() -> list[ModuleType]:
    stubs = os.environ.get("VARSERVE_STUBS")  # compiled before, where there is no grpc_tools
    if stubs is None:
        stubs = _stubs.name
        _compile_protos(stubs)
    sys.path.insert(0, stubs)
    return [
        importlib.import_module(f"varserve.v1.{name}") for name in ("inference_pb2", "inference_pb2_grpc", "var_pb2")
    ]


pb, services, var_pb = _import_protos()


class Server:
    """varserve-server of a build folder with a model, on a free port; `load_seconds` from start to ready."""

    def __init__(self, build: str | pathlib.Path, model: str | pathlib.Path, *flags: str) -> None:
        command = [f"{build}/bin/varserve-server", "--model", model, "--listen", "127.0.0.1:0", "--metrics_listen", ""]
        start = time.monotonic()
        self.process = subprocess.Popen([*command, *flags], stderr=subprocess.PIPE, text=True)
        line = ""
        for line in self.process.stderr:
            if "listening" in line:
                port = line.split("port=")[1].split()[0]
            if " ready" in line:
                break
        else:
            raise RuntimeError(f"the server did not start: {line.strip()}")
        self.load_seconds = time.monotonic() - start
        self.log = _drain(self.process.stderr)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = services.VisionLanguageStub(self.channel)

    def peak_bytes(self) -> int:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

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

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def _drain(stream: IO[str]) -> threading.Thread:
    """Reads the server's log, and passes on what is not a mere information."""

    def read() -> None:
        for line in stream:
            if " info " not in line:
                sys.stderr.write(line)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


@contextlib.contextmanager
def server(build: str | pathlib.Path, model: str | pathlib.Path, *flags: str) -> Iterator[Server]:
    running = Server(build, model, *flags)
    try:
        yield running
    finally:
        running.stop()
