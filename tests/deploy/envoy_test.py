"""What Envoy, as deploy/envoy configures it,
does for two servers: affinity, drain, a killed replica, retries, JSON, TLS."""

import base64
import collections
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from typing import ClassVar

from certificates import certificate
from envoy_proxy import CLIENT, PICTURES, Proxy, Server, noise_png, wait
from load import Call, Load, ask


class EnvoyTest(unittest.TestCase):
    TLS_FLAGS: ClassVar = {"tls_cert": "tls.crt", "tls_key": "tls.key", "tls_client_ca": "ca.crt"}

    @classmethod
    def setUpClass(cls) -> None:
        cls.servers = {name: Server(name) for name in "ab"}
        cls.addClassCleanup(lambda: [server.end() for server in cls.servers.values()])
        cls.proxy = Proxy(list(cls.servers.values()))
        cls.addClassCleanup(cls.proxy.end)

    def setUp(self) -> None:
        for name, server in self.servers.items():
            if server.process.poll() is not None:
                self.servers[name] = server.again()
        self.proxy.wait_healthy(2)

    def ask(self, picture: str, tokens: int = 1) -> Call:
        return ask(CLIENT, self.proxy.address, picture, tokens)

    def load(self) -> Load:
        return Load(CLIENT, self.proxy.address, PICTURES, tokens=30, width=4)

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

    def test_questions_on_a_picture_reach_the_replica_that_holds_it(self) -> None:
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

    def test_drained_replica_loses_nothing(self) -> None:
        with self.load() as load:
            load.wait_for(lambda: load.running("a") and load.running("b"))
            running = len(load.running("a"))
            self.assertEqual(self.servers["a"].end(), 0)
            calls = len(load.calls)
            load.wait_for(lambda: len(load.calls) >= calls + 8)
        summary = load.summary()
        self.assertEqual(summary["finished"], summary["calls"], summary)
        print(f"drained with {running} streams: {summary}", file=sys.stderr)

    def test_killed_replica_takes_only_its_running_streams_with_it(self) -> None:
        with self.load() as load:
            load.wait_for(lambda: load.running("a") and load.running("b"))
            self.servers["b"].process.kill()
            self.servers["b"].process.wait()
            killed = time.monotonic()  # until now its port may take connections
            calls = len(load.calls)
            load.wait_for(lambda: len(load.calls) >= calls + 8)
        failed = [call for call in load.calls if not call.finished]
        self.assertTrue(failed)
        for call in failed:
            self.assertEqual(call.code, "UNAVAILABLE")
            self.assertLess(call.made, killed)
            self.assertIn(call.model, ("b", None))
        print(f"killed: {load.summary()}; the {len(failed)} that failed ran on it", file=sys.stderr)

    def test_big_picture_is_tried_again_elsewhere(self) -> None:
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            for seed in range(20):  # until one belongs to server a
                pathlib.Path(file.name).write_bytes(noise_png(seed))
                if self.ask(file.name).model == "a":
                    break
            self.assertEqual(self.ask(file.name).model, "a")
            retries = self.proxy.stat("cluster.varserve.upstream_rq_retry_success")
            with Load(CLIENT, f"127.0.0.1:{self.servers['a'].port}", PICTURES, 500, width=1) as load:
                load.wait_for(lambda: load.running("a"))
                self.servers["a"].process.terminate()  # drains for as long as the stream runs
                wait(lambda: " draining" in self.servers["a"].log(), "the server to drain")
                call = self.ask(file.name)
        self.servers["a"].end()
        self.assertEqual((call.code, call.model), ("OK", "b"))
        self.assertGreater(self.proxy.stat("cluster.varserve.upstream_rq_retry_success"), retries)

    def test_json(self) -> None:
        status, (model,) = self.post("GetModel", {})
        self.assertEqual(status, 200)
        self.assertIn(model["name"], ("a", "b"))
        image = {"data": base64.b64encode(pathlib.Path(PICTURES[0]).read_bytes()).decode()}
        status, events = self.post(
            "Answer", {"images": [image], "question": "What is it?", "options": {"max_tokens": 3}}
        )
        self.assertEqual(status, 200)
        self.assertEqual(list(events[0]), ["started"])
        self.assertEqual("".join(e["delta"]["text"] for e in events if "delta" in e), events[-1]["finished"]["text"])

    def test_json_error(self) -> None:
        _, (error,) = self.post("Answer", {"question": "What is it?"})
        self.assertEqual(error["code"], 3)  # INVALID_ARGUMENT
        self.assertTrue(error["message"].startswith("images"), error)

    def complete(self, picture: str, model: str, **fields: object) -> tuple[int, str]:
        """A chat completion about a picture, as OpenAI's clients ask for it: HTTP status and body."""
        data = pathlib.Path(picture).read_bytes()
        url = "data:image/jpeg;base64," + base64.b64encode(data).decode()
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is it?"}]
        body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 3, **fields}
        digest = hashlib.sha256(data).hexdigest()
        return self.send("chat/completions", json.dumps(body).encode(), {"x-image-digest": digest})

    def send(self, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, str]:
        request = urllib.request.Request(
            f"http://{self.proxy.address}/v1/{path}", body, {"content-type": "application/json", **headers}
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def test_openai_requests_reach_the_replica_of_their_picture(self) -> None:
        # Each server knows its own model's name alone, so the status shows which one it was.
        found = {picture: {self.complete(picture, "a")[0] for _ in range(3)} for picture in PICTURES}
        self.assertTrue(all(len(statuses) == 1 for statuses in found.values()), found)
        self.assertEqual(set.union(*found.values()), {200, 404}, "every picture went to one server")
        # The digest leads to the same place over gRPC.
        for picture, statuses in found.items():
            self.assertEqual(self.ask(picture).model, "a" if statuses == {200} else "b")

    def test_openai_streams(self) -> None:
        model = self.ask(PICTURES[0]).model
        status, text = self.complete(PICTURES[0], model, stream=True)
        self.assertEqual(status, 200)
        events = [line.removeprefix("data: ") for line in text.splitlines() if line]
        self.assertEqual(events[-1], "[DONE]")
        pieces = [
            choice["delta"].get("content") or "" for event in events[:-1] for choice in json.loads(event)["choices"]
        ]
        whole = json.loads(self.complete(PICTURES[0], model)[1])
        self.assertEqual("".join(pieces), whole["choices"][0]["message"]["content"])

    def test_openai_errors_are_openais(self) -> None:
        status, text = self.send("chat/completions", b" " * 70_000_000, {})
        error = json.loads(text)["error"]
        self.assertEqual((status, error["type"]), (413, "invalid_request_error"))
        self.assertIn("max_message_bytes", error["message"])

    def test_openai_request_is_tried_again_elsewhere(self) -> None:
        picture = next(picture for picture in PICTURES if self.ask(picture).model == "a")
        with Load(CLIENT, f"127.0.0.1:{self.servers['a'].port}", PICTURES, 500, width=1) as load:
            load.wait_for(lambda: load.running("a"))
            self.servers["a"].process.terminate()  # drains for as long as the stream runs
            wait(lambda: " draining" in self.servers["a"].log(), "the server to drain")
            status, _ = self.complete(picture, "b")
        self.servers["a"].end()
        self.assertEqual(status, 200)

    def test_tls_on_both_sides(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            certificate(folder, "DNS:varserve.example")
            flags = tuple(f"--{flag}={folder / file}" for flag, file in self.TLS_FLAGS.items())
            server = Server("tls", flags=flags)
            self.addCleanup(server.end)

            def paths(text: str) -> str:
                return text.replace("/etc/envoy/server-tls", name).replace("/etc/envoy/tls", name)

            proxy = Proxy([server], paths, "envoy-tls.yaml")
            self.addCleanup(proxy.end)
            tls = ("--tls-ca", str(folder / "ca.crt"), "--tls-server-name", "varserve.example")
            call = ask(CLIENT, proxy.address, PICTURES[0], 1, flags=tls)
            self.assertEqual((call.code, call.model), ("OK", "tls"))
            # JSON by a client that offers HTTP/1.1 alone, and by one that offers HTTP/2 too.
            for offered in ("--http1.1", "--http2"):
                to = [
                    "--connect-to",
                    f"::127.0.0.1:{proxy.port}",
                    "https://varserve.example/varserve.v1.VisionLanguage/GetModel",
                ]
                curl = ["curl", "--silent", "--fail", offered, "--cacert", folder / "ca.crt", "--json", "{}", *to]
                self.assertEqual(
                    json.loads(subprocess.run(curl, capture_output=True, check=True).stdout)["name"], "tls"
                )
            curl = [
                "curl",
                "--silent",
                "--fail",
                "--cacert",
                folder / "ca.crt",
                *to[:2],
                "https://varserve.example/v1/models",
            ]
            models = json.loads(subprocess.run(curl, capture_output=True, check=True).stdout)
            self.assertEqual(models["data"][0]["id"], "tls")
