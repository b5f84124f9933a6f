"""A real Envoy, as deploy/envoy configures it, in front of real servers with the embedded model. Environment:
VARSERVE_BUILD, the build folder with server and client, and VARSERVE_MODEL, the model's directory."""

import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Callable

import envoy
import yaml

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "testing"))
from server_process import ServerProcess, memory_bytes

ROOT = pathlib.Path(__file__).resolve().parents[2]
PICTURES = sorted(str(p) for p in (ROOT / "models/embedded/samples").glob("*.jpg"))
ENVOY = pathlib.Path(envoy.__file__).parent / "_bin" / "envoy"
BUILD = pathlib.Path(os.environ["VARSERVE_BUILD"])
MODEL = pathlib.Path(os.environ["VARSERVE_MODEL"])
CLIENT = str(BUILD / "bin/varserve")


class Server(ServerProcess):
    """varserve-server with the embedded model under a name of its own, which its replies carry."""

    def __init__(self, name: str, port: int = 0, http_port: int = 0, flags: tuple[str, ...] = ()) -> None:
        own = (f"--model_name={name}", "--threads=1", "--memory_budget=1400M", *flags)
        super().__init__(BUILD, MODEL, *own, listen=f"127.0.0.1:{port}", http=f"127.0.0.1:{http_port}", metrics="")
        self.name = name
        self.port = int(self.address.split(":")[1])
        self.http_port = int(self.http_address.split(":")[1])
        self.wait_until_ready()

    def again(self) -> "Server":
        """A new one in its place."""
        return Server(self.name, self.port, self.http_port)

    def end(self) -> int:
        """Drained, and what it ended with."""
        return self.stop(120)


class Proxy:
    """Envoy with a configuration of deploy/envoy,
    as `change` makes it; only addresses differ, and replicas have fixed places on the ring."""

    def __init__(
        self, servers: list[Server], change: Callable[[str], str] = lambda text: text, file: str = "envoy.yaml"
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self._folder.name)
        config = yaml.safe_load(change((ROOT / "deploy/envoy" / file).read_text()))
        config["admin"]["address"]["socket_address"]["port_value"] = 0
        config["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = 0
        self.memory = config["overload_manager"]["resource_monitors"][0]["typed_config"]["max_heap_size_bytes"]
        clusters = {cluster["name"]: cluster for cluster in config["static_resources"]["clusters"]}
        for name, ports in (("varserve", "port"), ("openai", "http_port")):
            endpoints = [_endpoint(server.name, getattr(server, ports)) for server in servers]
            clusters[name]["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]
        (folder / "envoy.yaml").write_text(yaml.safe_dump(config))
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [
                    ENVOY,
                    "-c",
                    folder / "envoy.yaml",
                    "--admin-address-path",
                    folder / "admin",
                    "--concurrency",
                    "1",
                    "--disable-hot-restart",
                    "--log-level",
                    "warning",
                ],
                stdout=log,
                stderr=log,
            )
        wait(lambda: self.process.poll() is not None or (folder / "admin").exists(), "Envoy to start")
        if self.process.poll() is not None:
            raise RuntimeError((folder / "log").read_text())
        self._admin = (folder / "admin").read_text()
        wait(lambda: self._healthy() == len(servers), "Envoy to find both servers healthy")
        sockets = json.loads(self.admin("/listeners?format=json"))["listener_statuses"]
        self.port = sockets[0]["local_address"]["socket_address"]["port_value"]
        self.address = f"127.0.0.1:{self.port}"

    def admin(self, path: str) -> str:
        return urllib.request.urlopen(f"http://{self._admin}{path}", timeout=10).read().decode()

    def stat(self, name: str) -> int:
        return int(self.admin(f"/stats?filter=^{name}$").split(":")[1])

    def peak(self) -> int:
        """Most bytes that were resident at any time."""
        return memory_bytes(self.process.pid, "VmHWM")

    def _healthy(self) -> int:
        """Servers that are, both over gRPC and over HTTP."""
        return min(self.stat(f"cluster.{name}.membership_healthy") for name in ("varserve", "openai"))

    def wait_healthy(self, count: int) -> None:
        wait(lambda: self._healthy() == count, f"Envoy to find {count} servers healthy")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        self._folder.cleanup()


def _endpoint(name: str, port: int) -> dict:
    """With a fixed place on the ring."""
    return {
        "endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}},
        "metadata": {"filter_metadata": {"envoy.lb": {"hash_key": name}}},
    }


def wait(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.05)


def noise_png(seed: int, size: int = 900) -> bytes:
    """A picture that does not compress: 2.4 MB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    noise = random.Random(seed)
    rows = b"".join(b"\0" + noise.randbytes(3 * size) for _ in range(size))
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")
