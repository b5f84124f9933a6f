"""The real Prometheus as a process for a while."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

import yaml

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
from server_process import ServerProcess

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ("recording_rules.yaml", "alert_rules.yaml")


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
def stopping(*processes: ServerProcess | Prometheus) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.stop()
