"""A real Envoy, as deploy/envoy configures it, in front of two real servers with the embedded model."""

import argparse
import base64
import collections
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
import zlib

import envoy
import yaml

from load import Load, ask

ROOT = pathlib.Path(__file__).resolve().parents[2]
PICTURES = sorted(str(p) for p in (ROOT / "models/embedded/samples").glob("*.jpg"))
ENVOY = pathlib.Path(envoy.__file__).parent / "_bin" / "envoy"
BUILD: pathlib.Path
MODEL: pathlib.Path


class Server:
    """varserve-server with the embedded model under a name of its own, which its replies carry."""

    def __init__(self, name: str, port: int = 0):
        self.name = name
        self._log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [BUILD / "bin/varserve-server", "--model", MODEL, "--model_name", name, "--threads", "1", "--memory_budget", "700M"]
            + ["--listen", f"127.0.0.1:{port}", "--metrics_listen", ""],
            stderr=self._log,
        )
        wait(lambda: " ready" in self.log() or self.process.poll() is not None, "the server to be ready")
        if self.process.poll() is not None:
            raise RuntimeError(self.log())
        self.port = int(self.log().split("port=")[1].split()[0])

    def log(self) -> str:
        # By position: the process writes through the same open file.
        return os.pread(self._log.fileno(), 1 << 24, 0).decode()

    def end(self) -> int:
        """Drained, and what it ended with."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=120)


class Proxy:
    """Envoy with the configuration of deploy/envoy; only addresses differ, and replicas have fixed places on the ring."""

    def __init__(self, servers: list[Server]):
        self._folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self._folder.name)
        config = yaml.safe_load((ROOT / "deploy/envoy/envoy.yaml").read_text())
        config["admin"]["address"]["socket_address"]["port_value"] = 0
        listener = config["static_resources"]["listeners"][0]["address"]["socket_address"]
        listener.update(address="127.0.0.1", port_value=0)
        config["static_resources"]["clusters"][0]["load_assignment"]["endpoints"] = [
            {
                "lb_endpoints": [
                    {
                        "endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": server.port}}},
                        "metadata": {"filter_metadata": {"envoy.lb": {"hash_key": server.name}}},
                    }
                    for server in servers
                ]
            }
        ]
        (folder / "envoy.yaml").write_text(yaml.safe_dump(config))
        with open(folder / "log", "w") as log:
            self.process = subprocess.Popen(
                [ENVOY, "-c", folder / "envoy.yaml", "--admin-address-path", folder / "admin", "--concurrency", "1"]
                + ["--disable-hot-restart", "--log-level", "warning"],
                stdout=log,
                stderr=log,
            )
        wait(lambda: self.process.poll() is not None or (folder / "admin").exists(), "Envoy to start")
        if self.process.poll() is not None:
            raise RuntimeError((folder / "log").read_text())
        self._admin = (folder / "admin").read_text()
        wait(lambda: self._healthy() == len(servers), "Envoy to find both servers healthy")
        sockets = json.loads(self.admin("/listeners?format=json"))["listener_statuses"]
        self.address = f"127.0.0.1:{sockets[0]['local_address']['socket_address']['port_value']}"

    def admin(self, path: str) -> str:
        return urllib.request.urlopen(f"http://{self._admin}{path}", timeout=10).read().decode()

    def stat(self, name: str) -> int:
        return int(self.admin(f"/stats?filter=^{name}$").split(":")[1])

    def _healthy(self) -> int:
        return self.stat("cluster.varserve.membership_healthy")

    def wait_healthy(self, count: int) -> None:
        wait(lambda: self._healthy() == count, f"Envoy to find {count} servers healthy")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        self._folder.cleanup()


def wait(condition, what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.05)


def noise_png(seed: int, size: int = 900) -> bytes:
    """A picture that does not compress: 2.4 MB."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    noise = random.Random(seed)
    rows = b"".join(b"\0" + noise.randbytes(3 * size) for _ in range(size))
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


class EnvoyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = str(BUILD / "bin/varserve")
        cls.servers = {name: Server(name) for name in "ab"}
        cls.addClassCleanup(lambda: [server.end() for server in cls.servers.values()])
        cls.proxy = Proxy(list(cls.servers.values()))
        cls.addClassCleanup(cls.proxy.end)

    def setUp(self):
        for name, server in self.servers.items():
            if server.process.poll() is not None:
                self.servers[name] = Server(name, server.port)
        self.proxy.wait_healthy(2)

    def ask(self, picture: str, tokens: int = 1):
        return ask(self.client, self.proxy.address, picture, tokens)

    def load(self) -> Load:
        return Load(self.client, self.proxy.address, PICTURES, tokens=30, width=4)

    def post(self, method: str, body: dict) -> tuple[int, list[dict]]:
        request = urllib.request.Request(
            f"http://{self.proxy.address}/varserve.v1.VisionLanguage/{method}",
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return reply.status, [json.loads(line) for line in reply.read().splitlines() if line]
        except urllib.error.HTTPError as error:
            return error.code, [json.loads(error.read())]

    def test_questions_on_a_picture_reach_the_replica_that_holds_it(self):
        answers = collections.defaultdict(list)
        for _ in range(3):
            for picture in PICTURES:
                answers[picture].append(self.ask(picture))
        replicas = {picture: {call.model for call in calls} for picture, calls in answers.items()}
        self.assertTrue(all(len(models) == 1 for models in replicas.values()), replicas)
        self.assertEqual(set.union(*replicas.values()), {"a", "b"}, "every picture went to one server")
        # The second and the third question find the prefix that the first one computed.
        hits = sum(call.cached_tokens > 0 for calls in answers.values() for call in calls[1:])
        self.assertEqual(hits, 2 * len(PICTURES))
        print(f"same picture, same replica: {hits} of {hits} repeated questions hit", file=sys.stderr)

    def test_drained_replica_loses_nothing(self):
        with self.load() as load:
            load.wait_for(lambda: load.running("a") and load.running("b"))
            running = len(load.running("a"))
            self.assertEqual(self.servers["a"].end(), 0)
            calls = len(load.calls)
            load.wait_for(lambda: len(load.calls) >= calls + 8)
        summary = load.summary()
        self.assertEqual(summary["finished"], summary["calls"], summary)
        print(f"drained with {running} streams: {summary}", file=sys.stderr)

    def test_killed_replica_takes_only_its_running_streams_with_it(self):
        with self.load() as load:
            load.wait_for(lambda: load.running("a") and load.running("b"))
            self.servers["b"].process.kill()
            killed = time.monotonic()
            self.servers["b"].process.wait()
            calls = len(load.calls)
            load.wait_for(lambda: len(load.calls) >= calls + 8)
        failed = [call for call in load.calls if not call.finished]
        self.assertTrue(failed)
        for call in failed:
            self.assertEqual(call.code, "UNAVAILABLE")
            self.assertLess(call.made, killed)
            self.assertIn(call.model, ("b", None))
        print(f"killed: {load.summary()}; the {len(failed)} that failed ran on it", file=sys.stderr)

    def test_big_picture_is_tried_again_elsewhere(self):
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            for seed in range(20):  # until one belongs to server a
                pathlib.Path(file.name).write_bytes(noise_png(seed))
                if self.ask(file.name).model == "a":
                    break
            self.assertEqual(self.ask(file.name).model, "a")
            retries = self.proxy.stat("cluster.varserve.upstream_rq_retry_success")
            with Load(self.client, f"127.0.0.1:{self.servers['a'].port}", PICTURES, 200, width=1) as load:
                load.wait_for(lambda: load.running("a"))
                self.servers["a"].process.terminate()  # drains for as long as the stream runs
                wait(lambda: " draining" in self.servers["a"].log(), "the server to drain")
                call = self.ask(file.name)
        self.servers["a"].end()
        self.assertEqual((call.code, call.model), ("OK", "b"))
        self.assertGreater(self.proxy.stat("cluster.varserve.upstream_rq_retry_success"), retries)

    def test_json(self):
        status, (model,) = self.post("GetModel", {})
        self.assertEqual(status, 200)
        self.assertIn(model["name"], ("a", "b"))
        image = {"data": base64.b64encode(pathlib.Path(PICTURES[0]).read_bytes()).decode()}
        status, events = self.post("Answer", {"images": [image], "question": "What is it?", "options": {"max_tokens": 3}})
        self.assertEqual(status, 200)
        self.assertEqual(list(events[0]), ["started"])
        self.assertEqual("".join(e["delta"]["text"] for e in events if "delta" in e), events[-1]["finished"]["text"])

    def test_json_error(self):
        _, (error,) = self.post("Answer", {"question": "What is it?"})
        self.assertEqual(error["code"], 3)  # INVALID_ARGUMENT
        self.assertTrue(error["message"].startswith("images"), error)

    def test_tls_configuration_is_valid(self):
        with tempfile.TemporaryDirectory() as folder:
            key, certificate = f"{folder}/tls.key", f"{folder}/tls.crt"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=proxy"]
                + ["-keyout", key, "-out", certificate],
                check=True,
                capture_output=True,
            )
            text = (ROOT / "deploy/envoy/envoy-tls.yaml").read_text()
            self.assertIn("/etc/envoy/server-tls/ca.crt", text)
            text = text.replace("/etc/envoy/server-tls/ca.crt", certificate)
            text = text.replace("/etc/envoy/server-tls", folder).replace("/etc/envoy/tls", folder)
            pathlib.Path(f"{folder}/envoy.yaml").write_text(text)
            check = subprocess.run([ENVOY, "--mode", "validate", "-c", f"{folder}/envoy.yaml"], capture_output=True, text=True)
            self.assertEqual(check.returncode, 0, check.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="build folder with the server and the client")
    parser.add_argument("--model", type=pathlib.Path, required=True, help="directory of the embedded model")
    args, rest = parser.parse_known_args()
    BUILD, MODEL = args.build, args.model
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
