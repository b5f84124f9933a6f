"""The real server and the real Prometheus, each as a process for a while."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ("recording_rules.yaml", "alert_rules.yaml")


class Server:
    """varserve-server of a build folder with a model. Its log is kept in a file; `piped`: through a pipe that can
    break, or be read no more. `wrapper`: the command that runs it."""

    def __init__(
        self,
        build: str,
        model: str,
        *flags: str,
        listen: str = "127.0.0.1:0",
        metrics: str = "127.0.0.1:0",
        piped: bool = False,
        wrapper: Sequence[str] = (),
    ) -> None:
        command = [
            *wrapper,
            f"{build}/bin/varserve-server",
            f"--model={model}",
            f"--listen={listen}",
            f"--metrics_listen={metrics}",
        ]
        self._log = tempfile.NamedTemporaryFile("w+", suffix=".log")  # noqa: SIM115 (open as long as the server runs)
        self.process = subprocess.Popen(
            [*command, *flags], stderr=subprocess.PIPE if piped else self._log, stdout=self._log, bufsize=0
        )
        self._pipe_breaks = threading.Event()
        self._pipe_blocks = threading.Event()
        self._reader = threading.Thread(target=self._read_pipe, daemon=True)
        if piped:
            self._reader.start()
        self.address = f"127.0.0.1:{self._port('listening')}"
        self.metrics_address = f"127.0.0.1:{self._port('metrics')}"

    def _read_pipe(self) -> None:
        pipe = self.process.stderr
        with pipe, pathlib.Path(self._log.name).open("ab", buffering=0) as log:
            while not self._pipe_breaks.is_set():
                if self._pipe_blocks.is_set():
                    self._pipe_breaks.wait(0.1)
                elif select.select([pipe], [], [], 0.1)[0]:
                    if not (text := os.read(pipe.fileno(), 1 << 16)):
                        break
                    log.write(text)

    def break_pipe(self) -> None:
        """Nobody reads its log from now on."""
        self._pipe_breaks.set()
        self._reader.join()

    def block_pipe(self, blocked: bool = True) -> None:
        """Nobody reads its log, until `blocked` is false."""
        self._pipe_blocks.set() if blocked else self._pipe_blocks.clear()

    def log(self) -> str:
        return pathlib.Path(self._log.name).read_text()

    def wait_until_ready(self, timeout: float = 180) -> Server:
        self._wait_for(r'[ "]ready("|$)', timeout)
        return self

    def _port(self, message: str) -> str:
        return self._wait_for(rf'[ "]{message}[ "].*port"?[=:](\d+)', 60)[1]

    def _wait_for(self, pattern: str, timeout: float) -> re.Match[str]:
        deadline = time.monotonic() + timeout
        while not (found := re.search(pattern, self.log(), re.MULTILINE)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not write {pattern!r}:\n{self.log()}")
            time.sleep(0.1)
        return found

    def scrape(self) -> str:
        return urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=10).read().decode()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Prometheus:
    """Prometheus with this repository's configuration;
    scrapes `targets`. `hurry`: looks every second, and alerts do not wait."""

    def __init__(self, targets: list[str], *, hurry: bool = False, port: int | None = None, history: str = "") -> None:
        if not shutil.which("prometheus"):
            raise RuntimeError("prometheus is not installed; it is one of Debian's packages in scripts/packages.txt")
        self._folder = tempfile.TemporaryDirectory(prefix="varserve_prometheus_")
        folder = pathlib.Path(self._folder.name)
        config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yaml").read_text())
        config["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
        if hurry:
            config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        for name in RULES:
            rules = yaml.safe_load((ROOT / "deploy/prometheus" / name).read_text())
            for group in rules["groups"] if hurry else ():
                group["interval"] = "1s"
                for rule in group["rules"]:
                    rule.pop("for", None)
            (folder / name).write_text(yaml.safe_dump(rules))
        if history:
            (folder / "history").write_text(history)
            subprocess.run(
                [
                    "promtool",
                    "tsdb",
                    "create-blocks-from",
                    "openmetrics",
                    "--quiet",
                    folder / "history",
                    folder / "data",
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        self.address = f"127.0.0.1:{port or free_port()}"
        self._log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yaml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={self.address}",
                "--storage.tsdb.retention.time=30d",
            ],
            stdout=self._log,
            stderr=self._log,
        )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=1):
                    return
            except (OSError, urllib.error.URLError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"prometheus did not start:\n{pathlib.Path(self._log.name).read_text()}"
                    ) from None
                time.sleep(0.1)

    def get(self, path: str, **parameters: str | float) -> dict:
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{json.load(error)['error']}: {parameters}") from None

    def query(self, expression: str, at: float | None = None) -> list[dict]:
        """[{"metric": labels, "value": number}]"""
        result = self.get("query", query=expression, time=f"{at or time.time():.3f}")["result"]
        return [{"metric": entry["metric"], "value": float(entry["value"][1])} for entry in result]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict]:
        """[{"metric": labels, "values": [(time, number)]}]"""
        parameters = {"query": expression, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": step}
        result = self.get("query_range", **parameters)["result"]
        return [{"metric": entry["metric"], "values": [(t, float(v)) for t, v in entry["values"]]} for entry in result]

    def number(self, expression: str, at: float | None = None) -> float:
        values = [entry["value"] for entry in self.query(expression, at)]
        if len(values) != 1:
            raise RuntimeError(f"{expression} gives {len(values)} values, not one")
        return values[0]

    def wait_for(self, expression: str, timeout: float = 120) -> list[dict]:
        """Until the expression gives something."""
        deadline = time.monotonic() + timeout
        while not (result := self.query(expression)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing came of {expression}")
            time.sleep(0.25)
        return result

    def firing(self) -> list[dict]:
        return [alert for alert in self.get("alerts")["alerts"] if alert["state"] == "firing"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self._log.close()
        self._folder.cleanup()


def a_week_of(series: dict[str, float]) -> str:
    """A day of minutes, as much as the rules on the week need, in OpenMetrics; ends four hours ago."""
    end = int(time.time()) - 4 * 3600
    lines = [f"{name} {value} {t}" for name, value in series.items() for t in range(end - 86400, end, 60)]
    return "\n".join([*lines, "# EOF", ""])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def stopping(*processes: Server | Prometheus) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.stop()
