"""What clients do wrong costs nobody else anything."""

from __future__ import annotations

import contextlib
import json
import pathlib
import tempfile
import threading
import unittest

import openai
from raw import Connection, post
from running import NAME, ServerProcess, client, memory_bytes, metric, question, serving, wait_until

MIB = 1 << 20


def chat(**options: object) -> bytes:
    return json.dumps({"model": NAME, "messages": question(), "max_tokens": 4, **options}).encode()


def endless(server: ServerProcess, key: str = "none", tokens: int = 2000) -> openai.Stream:
    """A stream that has begun and would last."""
    stream = client(server, key).chat.completions.create(
        model=NAME, messages=question(), max_tokens=tokens, stream=True, extra_body={"ignore_eos": True}
    )
    next(iter(stream))
    return stream


class DifficultClientsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = cls.enterClassContext(serving())

    def exchange(self, request: bytes) -> tuple[int, dict]:
        with Connection(self.server.http_address) as connection:
            connection.send(request)
            return connection.reply()

    def assert_serves(self) -> None:
        self.assertEqual(self.exchange(post(chat()))[0], 200)

    def test_what_is_not_a_request_is_refused(self) -> None:
        deep, wide = b"[" * 1_000_000, b'{"a":[' + b"0," * 100_000 + b"0]}"
        for body, status, message in (
            (b"", 400, "request: is not JSON from byte 1 on"),
            (b"{", 400, "request: is not JSON from byte 2 on"),
            (b"[]", 400, "request: is an array, not an object"),
            (b'{"model": "\xff"}', 400, "request: is not JSON from byte 12 on"),
            (b'{"model": 1e999}', 400, "request: is not JSON from byte"),
            (deep, 400, "request: nests deeper than 64 levels"),
            (b'{"a":' * 1000 + b"1" + b"}" * 1000, 400, "request: nests deeper than 64 levels"),
            (wide, 400, "request: holds more than 65536 values"),
            (b"{}", 400, "model: is missing"),
        ):
            with self.subTest(body=body[:20]):
                got, reply = self.exchange(post(body))
                self.assertEqual(got, status)
                self.assertTrue(reply["error"]["message"].startswith(message), reply)
        self.assert_serves()

    def test_what_is_not_http_is_refused(self) -> None:
        for request, status in (
            (b"GARBAGE\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", 400),
            (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404),
            (b"GET /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n", 405),
            (post(b"{}").replace(b"application/json", b"text/plain"), 415),
            (post(b"{}", "Transfer-Encoding: chunked"), 400),
        ):
            with self.subTest(request=request[:30]):
                self.assertEqual(self.exchange(request)[0], status)
        self.assert_serves()

    def test_a_body_is_at_most_so_large(self) -> None:
        # The length alone decides; the body is taken while the client sends it, so that the reply arrives.
        status, reply = self.exchange(post(b" " * (64 * MIB + 1)))
        self.assertEqual((status, reply["error"]["code"]), (413, "request_too_large"))
        head = post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        status, reply = self.exchange(head + b"%x\r\n" % (65 * MIB) + b" " * (65 * MIB) + b"\r\n0\r\n\r\n")
        self.assertEqual((status, reply["error"]["code"]), (413, "request_too_large"))
        # One that just fits is read, and costs its memory only while it is.
        before = memory_bytes(self.server.process.pid)
        padding = b" " * (64 * MIB - len(chat()))
        self.assertEqual(self.exchange(post(padding + chat()))[0], 200)
        self.assertTrue(wait_until(lambda: memory_bytes(self.server.process.pid) < before + 48 * MIB))

    def test_one_connection_takes_many_requests(self) -> None:
        with Connection(self.server.http_address) as connection:
            for _ in range(3):
                connection.send(post(chat()))
                self.assertEqual(connection.reply()[0], 200)
            connection.send(post(b"{}"))
            self.assertEqual(connection.reply()[0], 400)
            connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertEqual(connection.reply()[0], 200)
            self.assertTrue(connection.ended())

    def test_the_body_is_asked_for(self) -> None:
        with Connection(self.server.http_address) as connection:
            request = post(chat(), "Expect: 100-continue")
            head = request.index(b"\r\n\r\n") + 4
            connection.send(request[:head])
            self.assertEqual(connection.socket.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.send(request[head:])
            self.assertEqual(connection.reply()[0], 200)

    def test_idle_connections_cost_others_nothing(self) -> None:
        with contextlib.ExitStack() as stack:
            for number in range(100):
                connection = stack.enter_context(Connection(self.server.http_address))
                connection.send(post(chat())[: number * 3])  # some have begun a request
            self.assert_serves()


class LimitsTest(unittest.TestCase):
    def test_lost_clients_are_cancelled(self) -> None:
        with serving() as server:
            for number in range(10):
                half = number % 2 == 0
                with Connection(server.http_address) as connection:
                    request = post(chat(max_tokens=2000, ignore_eos=True, stream=True))
                    connection.send(request[: len(request) // 2] if half else request)
                    if not half:
                        connection.socket.recv(100)
            cancelled = ("requests_total", 'code="CANCELLED"', 'transport="http"')
            self.assertTrue(wait_until(lambda: metric(server, *cancelled) == 10))
            self.assertTrue(wait_until(lambda: metric(server, "requests_running") == 0))

    def test_slow_readers_are_disconnected_and_hold_up_nobody(self) -> None:
        with serving("--write_timeout=500ms") as server, Connection(server.http_address, receive_buffer=4096) as slow:
            # Logprobs make a reply that no socket buffer takes.
            options = {
                "max_tokens": 2000,
                "ignore_eos": True,
                "logprobs": True,
                "top_logprobs": 20,
                "n": 8,
                "stream": True,
            }
            slow.send(post(chat(**options)))
            self.assertTrue(wait_until(lambda: "took nothing for 500ms" in server.log(), 60))
            self.assertEqual(
                client(server).chat.completions.create(model=NAME, messages=question()).object, "chat.completion"
            )

    def test_slow_requests_are_given_up(self) -> None:
        with serving("--read_timeout=1s") as server, contextlib.ExitStack() as stack:
            head = stack.enter_context(Connection(server.http_address))
            head.send(b"POST /v1/chat/comp")
            body = stack.enter_context(Connection(server.http_address))
            body.send(post(chat())[:-1])
            status, reply = body.reply()
            self.assertEqual(status, 408)
            self.assertIn("did not arrive within 1s", reply["error"]["message"])
            self.assertTrue(head.ended())

    def test_who_has_too_many_waits(self) -> None:
        with serving("--max_running=1", "--max_waiting=1") as server:
            streams: list[openai.Stream] = []
            refused: list[openai.RateLimitError] = []

            def ask() -> None:
                try:
                    streams.append(endless(server))
                except openai.RateLimitError as error:
                    refused.append(error)

            threads = [threading.Thread(target=ask, daemon=True) for _ in range(6)]
            for thread in threads:
                thread.start()
            self.assertTrue(wait_until(lambda: len(refused) > 0))
            self.assertEqual((refused[0].code, refused[0].type), ("rate_limit_exceeded", "rate_limit_error"))
            self.assertGreaterEqual(int(refused[0].response.headers["retry-after"]), 1)
            for thread in threads:
                while thread.is_alive():
                    for stream in streams:
                        stream.close()
                    thread.join(0.1)
            streams[-1].close()
            # The package's own retries wait as long as the reply says.
            patient = client(server, max_retries=5).chat.completions.create(model=NAME, messages=question())
            self.assertIn("koala", patient.choices[0].message.content)

    def test_only_who_has_a_token(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            tokens = pathlib.Path(folder) / "tokens"
            tokens.write_text("anna secret\n")
            with serving(f"--token_file={tokens}") as server:
                for key in ("wrong", "secret-"):
                    with self.assertRaises(openai.AuthenticationError) as caught:
                        client(server, key).chat.completions.create(model=NAME, messages=question())
                    self.assertEqual(caught.exception.code, "invalid_api_key")
                    with self.assertRaises(openai.AuthenticationError):
                        client(server, key).models.list()
                client(server, "secret").chat.completions.create(model=NAME, messages=question(), max_tokens=1)
                self.assertEqual(client(server, "secret").models.list().data[0].id, NAME)
                self.assertRegex(server.log(), "caller=anna transport=http method=ChatCompletions code=OK")
                with Connection(server.http_address) as connection:  # probes have none
                    connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                    self.assertEqual(connection.reply(), (200, {"status": "ready"}))

    def test_running_requests_end_before_the_server_does(self) -> None:
        with serving("--drain_seconds=30") as server:
            stream = endless(server, tokens=200)
            idle = Connection(server.http_address)
            server.process.terminate()
            self.assertTrue(wait_until(lambda: "draining" in server.log()))
            with self.assertRaises(openai.InternalServerError) as caught:
                client(server).chat.completions.create(model=NAME, messages=question())
            self.assertEqual(caught.exception.status_code, 503)
            self.assertEqual(list(stream)[-1].choices[0].finish_reason, "length")
            self.assertTrue(idle.ended())
            self.assertEqual(server.process.wait(10), 0)


if __name__ == "__main__":
    unittest.main()
