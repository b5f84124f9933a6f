"""Alerts made to fire for real:
a server with too little of everything and the wrong VAR profile, and one whose model is broken."""

import contextlib
import itertools
import os
import pathlib
import re
import signal
import struct
import tempfile
import threading
import time
import unittest
import zlib
from typing import ClassVar

from varserve import Client, Var, VarserveError

from faulty_model import break_memory, break_patches
from queries import alerts
from stack import Prometheus, ServerProcess, a_week_of, stopping
from traffic import PICTURES, QUESTIONS, Answer, Ask, send, send_all

TOKEN = "a-token"


def question(mode: str = "off", max_tokens: int = 1, number: int = 0) -> Ask:
    return Ask("Answer", PICTURES[number % len(PICTURES)], QUESTIONS[0], ((mode, "general"),), max_tokens)


def flat_png(width: int, height: int) -> bytes:
    """One color; takes long to decode and few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(1)
    row = b"\0" + b"\x80\x00\x40\x00\x20\x00" * width
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    size = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class Alerts(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        build, model = os.environ["VARSERVE_BUILD"], os.environ["VARSERVE_EMBEDDED_MODEL"]
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        (folder / "tokens").write_text(TOKEN + "\n")
        break_patches(model, folder / "broken")
        cls.broken = ServerProcess(
            build,
            str(folder / "broken"),
            "--model_name=broken",
            f"--token_file={folder}/tokens",
            "--threads=1",
            piped=True,
        )
        cls.model = model
        cls.enterClassContext(stopping(cls.broken))
        cls.refused_early = cls.ask_broken(TOKEN).code
        cls.scarce = ServerProcess(build, model, "--model_name=scarce", *cls.SCARCITY)
        cls.enterClassContext(stopping(cls.scarce))
        history = a_week_of(
            {
                'model:varserve_var_visual_sink_tokens:mean1h{model="scarce"}': 2,
                'model_preset:varserve_var_redistributed_attention:mean1h{model="scarce",preset="general"}': 0.01,
                'model:varserve_prefix_cache_hits:ratio1h{model="scarce"}': 0.8,
            }
        )
        targets = [cls.broken.metrics_address, cls.scarce.metrics_address]
        cls.prometheus = Prometheus(targets, hurry=True, history=history)
        cls.enterClassContext(stopping(cls.prometheus))
        for server in (cls.broken, cls.scarce):
            server.wait_until_ready()
        cls.prometheus.wait_for("count(count_over_time(varserve_ready[1m]) >= 2) == 2")

    # One request at a time, two may wait; no caches; a step may take 1 ms; sink dimensions that are none. The KV cache
    # holds an answer of almost --max_tokens, 2048, which is to take longer than 8 s.
    SCARCITY = (
        "--max_running=1",
        "--max_waiting=2",
        "--memory_budget=976M",
        "--max_image_pixels=400000000",
        "--prefill_budget=64",
        "--prefix_cache=0",
        "--image_cache=0",
        "--watchdog=1ms",
        "--sink_dimensions=3",
        "--tau=1000",
        "--threads=1",
    )

    @classmethod
    def ask_broken(cls, token: str) -> Answer:
        with Client(cls.broken.address, token=token) as client:
            (answer,) = send(client, question())
        return answer

    def assertFires(self, alert: str, **labels: str) -> None:
        """Soon, with its texts filled in."""
        deadline = time.monotonic() + 120
        while True:
            found = [
                a for a in self.prometheus.firing() if {"alertname": alert, **labels}.items() <= a["labels"].items()
            ]
            if found:
                break
            if time.monotonic() > deadline:
                firing = [a["labels"] for a in self.prometheus.firing()]
                self.fail(f"{alert} does not fire, only {firing}")
            time.sleep(0.5)
        for text in found[0]["annotations"].values():
            self.assertNotRegex(text, r"\{\{|<error|<no value")
        self.fired.add(alert)

    def assertFallsSilent(self) -> None:
        deadline = time.monotonic() + 120
        while firing := self.prometheus.firing():
            self.assertLess(time.monotonic(), deadline, firing)
            time.sleep(0.5)

    fired: ClassVar[set[str]] = set()

    def test_all(self) -> None:
        """In one test, as one fault leads to the next."""
        self.assertFallsSilent()  # from loading

        with self.subTest("refused calls are counted"):
            self.assertEqual(self.refused_early, "UNAVAILABLE")
            self.assertEqual(self.ask_broken("wrong").code, "UNAUTHENTICATED")
            page = self.broken.scrape()
            for code in ("UNAVAILABLE", "UNAUTHENTICATED"):
                self.assertRegex(page, rf'varserve_requests_total{{.*code="{code}".*method="Answer".*}} 1\n')

        with self.subTest("a broken model"):
            for _ in range(3):
                self.assertEqual(self.ask_broken(TOKEN).code, "INTERNAL")
            self.assertFires("VarserveCorruptedResults", model="broken")
            self.assertFires("VarserveErrorRatio", model="broken")

        with self.subTest("the wrong VAR profile, other sinks than last week, no prefix cache"):
            asks = (question("on", number=i) for i in range(22))
            self.assertEqual({answer.code for answer in send_all(self.scarce.address, asks, workers=2)}, {"OK"})
            self.assertFires("VarserveVarIneffective", model="scarce")
            self.assertFires("VarserveSinkDrift", model="scarce")
            self.assertFires("VarserveRedistributionDrift", model="scarce")
            self.assertFires("VarservePrefixHitsFallen", model="scarce")

        with self.subTest("too many requests for the queue and the KV cache"):
            self.overload()

        with self.subTest("pictures take long to decode"):
            self.send_large_pictures()

        with self.subTest("a model that fails on everything"):
            break_memory(self.broken.process.pid, self.model)
            for _ in range(5):
                self.assertEqual(self.ask_broken(TOKEN).code, "INTERNAL")
            self.assertFires("VarserveEngineFailing", model="broken")

        with self.subTest("nobody reads the log"):
            self.broken.break_pipe()
            self.ask_broken(TOKEN)
            self.assertFires("VarserveLogLinesDropped", model="broken")

        with self.subTest("a dead server"):
            self.scarce.send(signal.SIGKILL)
            self.assertFires("VarserveDown", instance=self.scarce.metrics_address)

        self.assertEqual(self.fired, set(alerts()))

    def overload(self) -> None:
        # An answer that takes the whole KV cache, and does not end by itself.
        blocks = int(re.search(r"KV cache .* (\d+) blocks of 16", self.scarce.log())[1])
        prompt_blocks = 18  # 256 visual tokens and a short question
        length = 16 * (blocks - prompt_blocks)
        client = Client(self.scarce.address)
        started = time.monotonic()
        long = client.ask_stream(PICTURES[0], QUESTIONS[0], var=Var.off(), max_tokens=length, ignore_eos=True)
        next(long)

        # One that waits shows what the next would wait at least, and that is longer than these have.
        first = threading.Thread(target=lambda: self.ask_many(1))
        first.start()
        self.prometheus.wait_for('varserve_requests_waiting{model="scarce"} == 1')
        for number in range(10):
            send(client, question(number=number), timeout=0.1)
        self.assertFires("VarserveMissedDeadlines", model="scarce")

        answers = []
        waiting = threading.Thread(target=lambda: answers.extend(self.ask_many(1)))
        waiting.start()
        self.prometheus.wait_for('varserve_requests_waiting{model="scarce"} == 2')
        self.assertEqual([answer.code for answer in self.ask_many(4)], ["RESOURCE_EXHAUSTED"] * 4)
        self.assertFires("VarserveRefusals", model="scarce")
        self.assertFires("VarserveKvCacheNearlyFull", model="scarce")
        self.assertFires("VarserveEngineStuck", model="scarce")
        self.assertFires("VarserveNotReady", model="scarce")

        time.sleep(max(0, started + 8 - time.monotonic()))  # those that wait are to have waited long
        long.cancel()
        waiting.join()
        first.join()
        client.close()
        self.assertEqual([answer.code for answer in answers], ["OK"])
        self.assertFires("VarserveQueueTime", model="scarce")
        self.assertFires("VarserveSlowFirstToken", model="scarce")

    def send_large_pictures(self) -> None:
        picture = flat_png(20_000, 20_000)
        fired = threading.Event()

        def keep_asking() -> None:
            with Client(self.scarce.address) as client:
                while not fired.is_set():
                    with contextlib.suppress(VarserveError):  # two of the three may find the queue full
                        client.ask(picture, QUESTIONS[0], max_tokens=1)

        callers = [threading.Thread(target=keep_asking) for _ in range(3)]
        for caller in callers:
            caller.start()
        try:
            self.assertFires("VarserveSlowPreparation", model="scarce")
        finally:
            fired.set()
            for caller in callers:
                caller.join()

    def ask_many(self, count: int) -> list[Answer]:
        return send_all(self.scarce.address, itertools.repeat(question(), count), workers=count)


if __name__ == "__main__":
    unittest.main()
