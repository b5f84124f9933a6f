"""Pictures by URL: fetched from hosts that are allowed, and from nowhere else."""

from __future__ import annotations

import http.server
import threading
import time
import unittest
from typing import ClassVar

import openai
from running import NAME, PICTURES, ServerProcess, client, data_url, metric, serving, text_part

KOALA = PICTURES[0].read_bytes()
LIMIT = 1_000_000  # bytes of a picture


class PictureHost(http.server.BaseHTTPRequestHandler):
    """What other servers may answer, by path."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        answer = getattr(self, f"answer_{self.path.strip('/').partition('/')[0]}", None)
        if answer is None:
            self.send_error(404)
        else:
            answer()

    def begin(self, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def answer_koala(self) -> None:
        self.begin(Content_Length=str(len(KOALA)))
        self.wfile.write(KOALA)

    def answer_text(self) -> None:
        self.begin()
        self.wfile.write(b"no picture")

    def answer_nothing(self) -> None:
        self.begin(Content_Length="0")

    def answer_large(self) -> None:
        self.begin(Content_Length=str(LIMIT + 1))

    def answer_endless(self) -> None:
        self.begin()
        while True:
            self.wfile.write(b"x" * 65536)

    def answer_slow(self) -> None:
        self.begin(Content_Length=str(len(KOALA)))
        for byte in KOALA:
            self.wfile.write(bytes([byte]))
            time.sleep(0.2)

    def answer_redirect(self) -> None:
        """/redirect/2 leads to /redirect/1, and that to the koala."""
        left = int(self.path.rpartition("/")[2]) - 1
        self.begin(302, Location=f"/redirect/{left}" if left else "/koala")

    def answer_elsewhere(self) -> None:
        self.begin(302, Location=f"http://localhost:{self.server.server_port}/koala")

    def answer_file(self) -> None:
        self.begin(302, Location="file:///etc/hostname")

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):  # the server had enough
            self.close_connection = True


class ImageUrlsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.host = http.server.ThreadingHTTPServer(("127.0.0.1", 0), PictureHost)
        cls.host.daemon_threads = True
        threading.Thread(target=cls.host.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.host.server_close)
        cls.addClassCleanup(cls.host.shutdown)
        flags = ("--image_url_hosts=127.0.0.1,*.example.com", "--image_url_private_addresses", "--image_url_timeout=3s")
        cls.server = cls.enterClassContext(serving(*flags, f"--max_image_bytes={LIMIT}"))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.host.server_port}{path}"

    def ask(self, *urls: str, server: ServerProcess | None = None) -> str:
        content = [*({"type": "image_url", "image_url": {"url": url}} for url in urls), text_part("What is it?")]
        reply = client(server or self.server).chat.completions.create(
            model=NAME, messages=[{"role": "user", "content": content}], max_tokens=12
        )
        return reply.choices[0].message.content

    def assertRefused(self, url: str, why: str, **options: ServerProcess) -> None:
        with self.assertRaises(openai.BadRequestError) as caught:
            self.ask(url, **options)
        self.assertRegex(caught.exception.body["message"], r"^messages\[0\]\.content\[0\]\.image_url\.url: ")
        self.assertIn(why, caught.exception.body["message"])

    def test_a_url_is_as_good_as_the_picture(self) -> None:
        koala, castle = map(data_url, PICTURES)
        for url in (self.url("/koala"), self.url("/redirect/5")):
            queued = metric(self.server, "queue_time_seconds_count")
            self.assertEqual(self.ask(url), self.ask(koala))
            self.assertEqual(metric(self.server, "queue_time_seconds_count"), queued + 2)
            self.assertEqual(self.ask(castle, url), self.ask(castle, koala))

    def test_what_is_no_picture_is_refused(self) -> None:
        for path, why in {
            "/nowhere": "answered with status 404",
            "/text": "JPEG",
            "/nothing": "sent no bytes",
            "/large": f"more than {LIMIT} bytes",
            "/endless": f"more than {LIMIT} bytes",
            "/slow": "took too long (--image_url_timeout)",
            "/redirect/6": "redirected more than 5 times",
            "/file": "it was redirected; there, ",
            "/elsewhere": "it was redirected; there, this server fetches no pictures from localhost",
        }.items():
            with self.subTest(path):
                self.assertRefused(self.url(path), why)

    def test_other_hosts_are_not_asked(self) -> None:
        before = len(PictureHost.asked)
        self.assertRefused(f"http://localhost:{self.host.server_port}/koala", "fetches no pictures from localhost")
        self.assertRefused("https://example.com/a.png", "fetches no pictures from example.com")
        self.assertRefused("http://127.0.0.1:9/a.png", "cannot be fetched")
        with serving("--image_url_hosts=*") as server:
            self.assertRefused(self.url("/koala"), "not public (--image_url_private_addresses)", server=server)
            self.assertRefused("http://[::ffff:127.0.0.1]:9/", "not public", server=server)
        with serving() as server:
            self.assertRefused(self.url("/koala"), "(--image_url_hosts)", server=server)
        self.assertEqual(len(PictureHost.asked), before)

    def test_slow_hosts_delay_nobody_else(self) -> None:
        slow = [threading.Thread(target=self.assertRefused, args=(self.url("/slow"), "too long")) for _ in range(32)]
        for thread in slow:
            thread.start()
        time.sleep(0.5)
        self.ask(data_url(PICTURES[1]))
        self.assertTrue(any(thread.is_alive() for thread in slow), "it waited for them")
        for thread in slow:
            thread.join()


if __name__ == "__main__":
    unittest.main()
