"""Callers that press a real Envoy hard,
as deploy/envoy configures it: what it holds stays below its memory limit, others go on."""

import contextlib
import pathlib
import socket
import sys
import tempfile
import threading
import unittest
from collections.abc import Iterator

import grpc

from envoy_proxy import CLIENT, PICTURES, Proxy, Server, noise_png, wait
from load import ask

ANSWER = "/varserve.v1.VisionLanguage/Answer"
MESSAGE = 64 << 20  # --max_message_bytes
OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


class Stalled:
    """Uploads that are never complete: `count` of `size` bytes each, by gRPC or as JSON over HTTP/1.1."""

    def __init__(self, port: int, count: int, size: int, json: bool) -> None:
        self.ended: list[str] = []
        self._port, self._size = port, size
        self._stop = threading.Event()
        self._sent = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._json if json else self._grpc) for _ in range(count)]

    def __enter__(self) -> "Stalled":
        for thread in self._threads:
            thread.start()
        for _ in self._threads:
            self._sent.acquire(timeout=300)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _grpc(self) -> None:
        def message() -> Iterator[bytes]:
            yield b"x" * self._size
            self._sent.release()
            self._stop.wait()

        with grpc.insecure_channel(f"127.0.0.1:{self._port}", OPTIONS) as channel:
            try:
                channel.stream_unary(ANSWER)(message(), timeout=600)
            except grpc.RpcError as error:
                self.ended.append(error.code().name)
            self._sent.release()

    def _json(self) -> None:
        head = (
            f"POST {ANSWER} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"content-length: {self._size + 9}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", self._port)) as connection, contextlib.suppress(OSError):
            connection.sendall(head.encode() + b'{"a":"' + b"x" * self._size)
            self._sent.release()
            while not self._stop.wait(0.1):
                pass
        self._sent.release()


class FloodTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server("a")
        cls.addClassCleanup(cls.server.end)

    def setUp(self) -> None:
        self.proxy = Proxy([self.server])
        self.addCleanup(self.proxy.end)

    def call(self, size: int) -> tuple[str, str]:
        """Code and message of a call of so many bytes that are not a request."""
        with grpc.insecure_channel(self.proxy.address, OPTIONS) as channel:
            try:
                list(channel.unary_stream(ANSWER)(b"\xff" * size, timeout=120))
            except grpc.RpcError as error:
                return error.code().name, error.details()
        return "OK", ""

    def ask(self, picture: str = PICTURES[0]) -> str:
        return ask(CLIENT, self.proxy.address, picture, 1, flags=("--retry", "3")).code

    def stalled_uploads(self, json: bool) -> None:
        count = 40
        with tempfile.NamedTemporaryFile(suffix=".png") as large:
            pathlib.Path(large.name).write_bytes(noise_png(1, size=2000))  # 12 MB
            with Stalled(self.proxy.port, count, 60_000_000, json):
                codes = [self.ask() for _ in range(5)] + [self.ask(large.name)]
            codes.append(self.ask(large.name))
        resets = self.proxy.stat("envoy.overload_actions.reset_high_memory_stream.count")
        print(
            f"{count} stalled uploads of 60 MB: at most {self.proxy.peak() >> 20} MiB of {self.proxy.memory >> 20}, "
            f"{resets} reset",
            file=sys.stderr,
        )
        self.assertLess(self.proxy.peak(), 0.9 * self.proxy.memory)
        self.assertEqual(codes, ["OK"] * len(codes))
        self.assertGreater(resets, 0)

    def test_stalled_uploads(self) -> None:
        self.stalled_uploads(json=False)

    def test_stalled_json(self) -> None:
        self.stalled_uploads(json=True)

    def test_a_request_of_the_greatest_size_passes_and_a_larger_one_is_told_so(self) -> None:
        self.assertNotIn(
            "max_message_bytes", self.call(MESSAGE)[1], "the server has it, and says what is wrong with it"
        )
        for size in (MESSAGE + 2000, MESSAGE + (16 << 20)):
            code, message = self.call(size)
            self.assertEqual(
                (code, message), ("RESOURCE_EXHAUSTED", f"request: is larger than max_message_bytes, {MESSAGE}")
            )

    def test_requests_that_take_too_long_are_told_so(self) -> None:
        proxy = Proxy([self.server], lambda text: text.replace("request_timeout: 120s", "request_timeout: 1s"))
        self.addCleanup(proxy.end)
        with Stalled(proxy.port, 1, 1000, json=False) as stalled:
            wait(lambda: stalled.ended, "the upload to end")
        self.assertEqual(stalled.ended, ["DEADLINE_EXCEEDED"])

    def test_connections_have_a_limit(self) -> None:
        limit = self.proxy.memory // (4 << 20)
        with contextlib.ExitStack() as stack:
            for _ in range(limit + 50):
                stack.enter_context(socket.create_connection(("127.0.0.1", self.proxy.port)))
            wait(
                lambda: self.proxy.stat("listener.*_0.downstream_global_cx_overflow") >= 50, "those beyond to be closed"
            )
        wait(lambda: self.ask() == "OK", "a call to pass")

    def test_both_families(self) -> None:
        for address in (f"127.0.0.1:{self.proxy.port}", f"[::1]:{self.proxy.port}"):
            with grpc.insecure_channel(address) as channel:
                self.assertTrue(channel.unary_unary("/varserve.v1.VisionLanguage/GetModel")(b"", timeout=30))
