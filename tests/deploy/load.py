"""Streaming load by the command line client, every call accounted for."""

import collections
import dataclasses
import itertools
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable

QUESTION = "Describe the image."


@dataclasses.dataclass
class Call:
    """One call: when it was made, which replica accepted it, how it ended."""

    picture: str
    made: float
    model: str | None = None  # of Started: the request was accepted
    cached_tokens: int = 0
    tokens: int = 0
    finished: bool = False
    ended: float | None = None
    code: str = "OK"

    @property
    def lost(self) -> bool:
        return self.model is not None and self.ended is not None and not self.finished


def ask(
    client: str,
    address: str,
    picture: str,
    tokens: int,
    call: Call | None = None,
    flags: tuple[str, ...] = (),
    prefix: tuple[str, ...] = (),
) -> Call:
    """Asks for exactly so many tokens about a picture; `call` can be watched while it runs."""
    call = call or Call(picture, time.monotonic())
    command = [
        *prefix,
        client,
        "ask",
        "--json",
        "--address",
        address,
        "--ignore-eos",
        "--max-tokens",
        str(tokens),
        "--timeout",
        "300",
    ]
    with subprocess.Popen(
        [*command, *flags, picture, QUESTION], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            event = json.loads(line)
            if "started" in event:
                call.cached_tokens = event["started"]["cached_tokens"]
                call.model = event["started"]["model"]
            elif "delta" in event:
                call.tokens += len(event["delta"]["token_ids"])
            else:
                call.finished = True
        error = process.stderr.read()
    if process.returncode != 0:
        # varserve: UNAVAILABLE: the server is draining; gRPC may have written lines of its own before
        code = re.search(r"^varserve: ([A-Z_]+): ", error, re.MULTILINE)
        call.code = code[1] if code else f"exit code {process.returncode}"
    call.ended = time.monotonic()
    return call


class Load:
    """Streams of `tokens` tokens about these pictures in turn, `width` at a time, until stopped."""

    def __init__(
        self, client: str, address: str, pictures: list[str], tokens: int, width: int, prefix: tuple[str, ...] = ()
    ) -> None:
        self.calls: list[Call] = []
        self._ask = lambda call: ask(client, address, call.picture, tokens, call, prefix=prefix)
        self._pictures = itertools.cycle(pictures)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(width)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                call = Call(next(self._pictures), time.monotonic())
                self.calls.append(call)
            self._ask(call)

    def running(self, model: str | None = None) -> list[Call]:
        """Accepted, with tokens coming, by this model."""
        return [c for c in self.calls if c.ended is None and c.tokens > 0 and model in (None, c.model)]

    def wait_for(self, what: Callable[[], object], seconds: float = 300) -> None:
        """Until `what()` of the load holds."""
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                raise TimeoutError(f"after {seconds} s of load: {self.summary()}")
            time.sleep(0.05)

    def summary(self) -> dict:
        ended = [c for c in self.calls if c.ended is not None]
        return {
            "calls": len(ended),
            "accepted": sum(c.model is not None for c in ended),
            "finished": sum(c.finished for c in ended),
            "lost": sum(c.lost for c in ended),
            "tokens": sum(c.tokens for c in ended),
            "codes": dict(collections.Counter(c.code for c in ended)),
        }
