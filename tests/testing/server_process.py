"""varserve-server as a process for a while. Used by one thread, but for the log."""

from __future__ import annotations

import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence

Path = str | pathlib.Path


def memory_bytes(pid: int, field: str = "VmRSS") -> int:
    """Bytes of a process in memory; VmHWM: the most so far."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) * 1024


class ServerProcess:
    """varserve-server of a build folder with a model, on free ports. `metrics` "" is no metrics, `http` "" no HTTP.
    `wrapper`: the command that runs it. Its log is kept in a file; `piped`: through a pipe that can break, or be read
    no more."""

    def __init__(
        self,
        build: Path,
        model: Path,
        *flags: str,
        listen: str = "127.0.0.1:0",
        metrics: str = "127.0.0.1:0",
        http: str = "127.0.0.1:0",
        piped: bool = False,
        wrapper: Sequence[str] = (),
    ) -> None:
        command = [
            *wrapper,
            f"{build}/bin/varserve-server",
            f"--model={model}",
            f"--listen={listen}",
            f"--metrics_listen={metrics}",
            f"--http_listen={http}",
        ]
        self._log = tempfile.NamedTemporaryFile("w+", suffix=".log")  # noqa: SIM115 (open as long as the server runs)
        self._start = time.monotonic()
        self.process = subprocess.Popen(
            [*command, *flags], stderr=subprocess.PIPE if piped else self._log, stdout=self._log, bufsize=0
        )
        self._pipe_breaks = threading.Event()
        self._pipe_blocks = threading.Event()
        self._echoes = threading.Event()
        self._reader = threading.Thread(target=self._read_pipe, daemon=True)
        if piped:
            self._reader.start()
        self.address = f"127.0.0.1:{self._port('listening')}"
        self.http_address = f"127.0.0.1:{self._port('http')}" if http else ""
        self.metrics_address = f"127.0.0.1:{self._port('metrics')}" if metrics else ""

    def _read_pipe(self) -> None:
        pipe, rest = self.process.stderr, b""
        with pipe, pathlib.Path(self._log.name).open("ab", buffering=0) as log:
            while not self._pipe_breaks.is_set():
                if self._pipe_blocks.is_set():
                    self._pipe_breaks.wait(0.1)
                elif select.select([pipe], [], [], 0.1)[0]:
                    if not (text := os.read(pipe.fileno(), 1 << 16)):
                        break
                    log.write(text)
                    *lines, rest = (rest + text).split(b"\n")
                    if self._echoes.is_set():
                        sys.stderr.writelines(f"{line.decode()}\n" for line in lines if b" info " not in line)

    def warnings(self) -> list[str]:
        """The lines of its log so far that are warnings or errors, without their times."""
        return re.findall(r"^\S+ ((?:warning|error) .*)", self.log(), re.MULTILINE)

    def echo(self) -> None:
        """Warnings go to standard error from now on, if the log is piped; those so far go there at once."""
        sys.stderr.writelines(f"{line}\n" for line in self.warnings())
        self._echoes.set()

    def break_pipe(self) -> None:
        """Nobody reads its log from now on."""
        self._pipe_breaks.set()
        self._reader.join()

    def block_pipe(self, blocked: bool = True) -> None:
        """Nobody reads its log, until `blocked` is false."""
        self._pipe_blocks.set() if blocked else self._pipe_blocks.clear()

    def log(self) -> str:
        return pathlib.Path(self._log.name).read_text()

    def wait_until_ready(self, timeout: float = 180) -> float:
        """Seconds from its start until then."""
        self._wait_for(r'[ "]ready("|$)', timeout)
        return time.monotonic() - self._start

    def _port(self, message: str) -> str:
        return self._wait_for(rf'[ "]{message}[ "].*port"?[=:](\d+)', 60)[1]

    def _wait_for(self, pattern: str, timeout: float) -> re.Match[str]:
        deadline = time.monotonic() + timeout
        while not (found := re.search(pattern, self.log(), re.MULTILINE)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not write {pattern!r}:\n{self.log()}")
            time.sleep(0.02)
        return found

    def scrape(self) -> str:
        return urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=10).read().decode()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self, timeout: float = 20) -> int:
        """Its exit code; killed if it has not drained by then."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()
