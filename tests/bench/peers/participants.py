"""Whoever takes part in ./dev bench peers: asked one question at a time, alternately, all of a group loaded."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import json
import pathlib
import selectors
import statistics
import subprocess
import tempfile
import time

from varserve import Var

import model
from varserve_client import Server

HERE = pathlib.Path(__file__).resolve().parent
LOAD_SECONDS = 900  # vLLM compiles, the first time for minutes


class NotRun(Exception):
    """Why a participant has no numbers."""


@dataclasses.dataclass
class Speeds:
    """Of a question about one picture."""

    prompt_tokens: int
    prefill: float  # prompt tokens per second, the picture among them; 0: not measured
    decode: float  # tokens per second after the first


@dataclasses.dataclass
class Many:
    """Of questions asked at the same time, each about a picture of its own."""

    tokens_per_second: float  # of all answers, from the questions to the last token
    gaps: list[float]  # seconds between tokens of an answer; none if unknown


def speeds(prompt_tokens: int, times: list[float]) -> Speeds:
    return Speeds(prompt_tokens, prompt_tokens / times[0], (len(times) - 1) / (times[-1] - times[0]))


def many(times: list[list[float]]) -> Many:
    gaps = [b - a for own in times for a, b in itertools.pairwise(own)]
    return Many(sum(map(len, times)) / max(own[-1] for own in times), gaps)


class Worker:
    """A peer's process that speaks worker.py's lines."""

    def __init__(self, python: str, script: str, directory: pathlib.Path, threads: int, timeout: float) -> None:
        self._timeout = timeout
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open as long as the process runs)
        self._process = subprocess.Popen(
            [python, HERE / script, directory, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        try:
            self._read(LOAD_SECONDS)
        except NotRun:
            self.stop()
            raise

    def _read(self, timeout: float) -> dict:
        if not self._selector.select(timeout):
            raise NotRun(f"took more than {timeout:.0f} s")
        if not (line := self._process.stdout.readline()):
            raise NotRun(f"ended with exit code {self._process.wait()}: {self._last_line()}")
        answer = json.loads(line)
        if "error" in answer:
            raise NotRun(answer["error"])
        return answer

    def _last_line(self) -> str:
        self._log.seek(0)
        return next((line.strip()[:200] for line in reversed(self._log.readlines()) if line.strip()), "")

    def ask(self, seeds: list[int], tokens: int, size: int) -> tuple[int, list[list[float]]]:
        try:
            self._process.stdin.write(json.dumps({"pictures": seeds, "tokens": tokens, "size": size}) + "\n")
        except BrokenPipeError as error:
            raise NotRun("its process is gone") from error
        answer = self._read(self._timeout)
        return answer["prompt_tokens"], answer["times"]

    def one(self, seed: int, tokens: int, size: int) -> Speeds:
        prompt_tokens, times = self.ask([seed], tokens, size)
        return speeds(prompt_tokens, times[0])

    def many(self, seeds: list[int], tokens: int, size: int) -> Many:
        return many(self.ask(seeds, tokens, size)[1])

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()


class Varserve:
    """The server of this tree."""

    def __init__(self, build: str, directory: pathlib.Path, threads: int, quantize: str = "none") -> None:
        flags = ["--threads", str(threads), "--prefix_cache", "0", "--max_running", "8", "--memory_budget", "6G"]
        # Random weights have no sinks to find. With this tau, every eighth token is one.
        flags += ["--sink_dimensions", "5,17", "--tau", "1.8"]
        self._server = Server(build, directory, *flags, "--dtype", "bfloat16", "--quantize", quantize)

    def instruction_set(self) -> str:
        return self._server.client.model().instruction_set

    def ask(self, seed: int, tokens: int, size: int, var: Var | None = None) -> tuple[int, list[float]]:
        picture = model.picture(seed, size)
        start = time.monotonic()
        answer = self._server.answer(picture, model.QUESTION, tokens, var)
        return answer.reply.usage.prompt_tokens, [when - start for when in answer.token_times]

    def one(self, seed: int, tokens: int, size: int, var: Var | None = None) -> Speeds:
        return speeds(*self.ask(seed, tokens, size, var))

    def many(self, seeds: list[int], tokens: int, size: int) -> Many:
        with concurrent.futures.ThreadPoolExecutor(len(seeds)) as pool:
            return many([times for _, times in pool.map(lambda seed: self.ask(seed, tokens, size), seeds)])

    def stop(self) -> None:
        self._server.stop()


class LlamaCpp:
    """llama-bench with the text decoder alone: as many text tokens as the others have of text and picture. It decodes
    without a prompt before."""

    def __init__(self, program: pathlib.Path, file: pathlib.Path, threads: int, prompt_tokens: int) -> None:
        self._command = [program, "-m", file, "-t", str(threads), "-r", "1", "-o", "json", "-p", str(prompt_tokens)]
        self._prompt_tokens = prompt_tokens

    def one(self, seed: int, tokens: int, size: int) -> Speeds:
        del seed, size  # its tokens are random
        run = subprocess.run([*self._command, "-n", str(tokens)], capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise NotRun(
                f"llama-bench ended with exit code {run.returncode}: {(run.stderr.splitlines() or [''])[-1][:200]}"
            )
        rates = {bool(row["n_gen"]): row["avg_ts"] for row in json.loads(run.stdout)}
        return Speeds(self._prompt_tokens, rates.get(False, 0.0), rates[True])

    def stop(self) -> None:
        pass


def median(found: list[Speeds]) -> Speeds:
    return Speeds(
        found[0].prompt_tokens,
        statistics.median(s.prefill for s in found),
        statistics.median(s.decode for s in found),
    )
