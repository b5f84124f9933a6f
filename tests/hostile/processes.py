"""Attacks on the process itself: its log, its start, its memory."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator

import grpc

from harness import MIB, ServerProcess, call_raw, memory_bytes, together

CONTROL_GROUPS = pathlib.Path("/sys/fs/cgroup")


def build_of(server: ServerProcess) -> str:
    return str(pathlib.Path(server.process.args[0]).parents[1])


def model_of(server: ServerProcess) -> pathlib.Path:
    return pathlib.Path(next(arg.split("=", 1)[1] for arg in server.process.args if arg.startswith("--model=")))


def blocked_log(server: ServerProcess, message: bytes, calls: int) -> str:
    """Refused calls, each with its line, while nobody reads the log: eight callers, until one gets no answer."""

    def answered() -> int:
        for number in range(calls // 8):
            if not call_raw(server.address, "Answer", message, timeout=10).startswith("INVALID_ARGUMENT"):
                return number
        return calls // 8

    server.block_pipe()
    answers = sum(together(*[answered] * 8))
    server.block_pipe(False)
    return f"{answers} of {calls // 8 * 8} calls answered"


def failed_start(server: ServerProcess, patience: float = 60) -> str:
    """A start that fails after a while, watched by somebody."""
    model = model_of(server)
    with tempfile.TemporaryDirectory(prefix="varserve_failed_start_") as folder:
        for file in model.iterdir():
            if file.suffix != ".safetensors":
                shutil.copy(file, folder)
        weights = pathlib.Path(folder, "model.safetensors")
        os.mkfifo(weights)  # the server reads it, and so waits, until somebody opens its other end
        failing = ServerProcess(build_of(server), folder)
        with grpc.insecure_channel(failing.address) as channel:
            watch = channel.unary_stream(
                "/grpc.health.v1.Health/Watch", request_serializer=None, response_deserializer=None
            )(b"")
            next(watch)
            start = time.monotonic()
            weights.open("wb").close()
            try:
                code = f"exit code {failing.process.wait(patience)} after {time.monotonic() - start:.1f} s"
            except subprocess.TimeoutExpired:
                code = f"still there after {patience:.0f} s"
            said = "said why" if "model.safetensors" in failing.log() else "did not say why"
            watch.cancel()
        failing.stop()
    return f"{code}, {said}"


@contextlib.contextmanager
def control_group(memory: int) -> Iterator[pathlib.Path | None]:
    """A control group of so much memory; None where none can be made."""
    version1 = CONTROL_GROUPS / "memory"
    group = (version1 if version1.is_dir() else CONTROL_GROUPS) / f"varserve_hostile_{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    limit = group / ("memory.limit_in_bytes" if version1.is_dir() else "memory.max")
    try:
        limit.write_text(str(memory))
        yield group
    except FileNotFoundError:
        yield None
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


def inside(group: pathlib.Path) -> tuple[str, ...]:
    return "sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh"


def drop_from_cache(folder: pathlib.Path) -> None:
    for file in folder.iterdir():
        fd = os.open(file, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def in_container(server: ServerProcess, message: bytes, memory: int = 4 << 30) -> str:
    """Two starts in 4 GiB, the second with the weights in the page cache; pictures in flight in each."""
    model, outcomes = model_of(server), []
    with control_group(memory) as group:
        if group is None:
            return "not run: no control group can be made here"
        for cache in ("cold", "warm"):
            drop_from_cache(model)
            if cache == "warm":
                files = [str(file) for file in model.iterdir()]
                subprocess.run([*inside(group), "cat", *files], check=True, stdout=subprocess.DEVNULL)
            limited = ServerProcess(build_of(server), str(model), wrapper=inside(group))
            try:
                limited.wait_until_ready()
                tokens = int(limited.log().split("kv_cache_tokens=")[1].split()[0])
                codes = {
                    code.split(":")[0]
                    for code in together(*[functools.partial(call_raw, limited.address, "Answer", message)] * 8)
                }
                alive = limited.process.poll() is None
                outcomes.append(
                    f"{cache} cache: {tokens} tokens of KV cache, pictures {', '.join(sorted(codes))}, "
                    f"{memory_bytes(limited.process.pid) / MIB:.0f} MiB"
                    if alive
                    else f"{cache} cache: it was killed"
                )
            except RuntimeError as error:
                outcomes.append(f"{cache} cache: {error}".splitlines()[-1])
            finally:
                limited.stop()
    return "; ".join(outcomes)
