"""The running cluster (scripts/cluster.sh) with the chart on it.
Helm and kubectl run on this machine inside the node's network."""

import json
import pathlib
import re
import subprocess
import time
from collections.abc import Callable

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMESPACE = "varserve"

# Two cores for everything: small replicas, which answer on one thread, since they ask for a tenth of a CPU.
SETTINGS = {
    "image.repository": "localhost/varserve",
    "image.tag": "test",
    "image.pullPolicy": "Never",
    "model.name": "embedded",
    "flags.memory_budget": "1400M",
    "resources.requests.cpu": "100m",
    "resources.requests.memory": "900Mi",
    "resources.limits.memory": "1700Mi",
    "preStopSeconds": 3,
    "drainSeconds": 60,
    "envoy.image.repository": "localhost/envoy",
    "envoy.image.tag": "test",
    "envoy.image.pullPolicy": "Never",
    "envoy.replicas": 1,
    "envoy.resources.requests.cpu": "50m",
}


class Cluster:
    """The running cluster: kubectl, helm, and programs inside the node's network."""

    def __init__(self, folder: pathlib.Path) -> None:
        pid = (folder / "node.pid").read_text().strip()
        self.network = ("nsenter", "--target", pid, "--net", "--")
        self._kubeconfig = str(folder / "run/kubeconfig/admin")
        self._bin = folder / "bin"

    def run(
        self, program: str, *arguments: str, text: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess:
        command = [
            *self.network,
            str(self._bin / program),
            "--kubeconfig",
            self._kubeconfig,
            "--namespace",
            NAMESPACE,
            *arguments,
        ]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"{program} {' '.join(arguments)}: {done.stderr.strip()}")
        return done

    def kubectl(self, *arguments: str, **options: str | bool | None) -> str:
        return self.run("kubectl", *arguments, **options).stdout

    def get(self, *arguments: str) -> dict:
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    def install(self, release: str, wait: bool = True, **settings: str | int) -> None:
        values = {**SETTINGS, **{name.replace("__", "."): value for name, value in settings.items()}}
        flags = [f for name, value in values.items() for f in ("--set", f"{name}={value}")]
        self.run(
            "helm", "upgrade", "--install", "--create-namespace", release, str(ROOT / "deploy/helm/varserve"), *flags,
            *(["--wait", "--timeout", "10m"] if wait else []),
        )  # fmt: skip

    def pods(self, release: str = "varserve", component: str = "server") -> list[dict]:
        """Those that are not being deleted."""
        selector = f"app.kubernetes.io/instance={release},app.kubernetes.io/component={component}"
        return [
            p for p in self.get("pods", "--selector", selector)["items"] if "deletionTimestamp" not in p["metadata"]
        ]

    def address(self, service: str) -> str:
        spec = self.get("service", service)["spec"]
        return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def metric(self, pod: dict, name: str) -> float:
        url = f"http://{pod['status']['podIP']}:9464/metrics"
        text = subprocess.run(
            [*self.network, "curl", "--silent", "--fail", url], capture_output=True, text=True, check=True
        ).stdout
        return sum(float(line.split()[-1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))


def wait(condition: Callable[[], bool], what: str, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.5)
