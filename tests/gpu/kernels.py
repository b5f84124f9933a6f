"""The kernels of one decode step of the 7B: Nsight Compute runs the server with two and with three layers of it, and
what the third adds is counted for each of 32. What the host takes to launch them is not in these times."""

import collections
import contextlib
import csv
import os
import pathlib
import shutil
import signal
import subprocess

import model
from step import FEW_LAYERS, ROOT, Settings, detail, row, settings
from varserve_client import Server

LAYERS = 32
Kernel = tuple[str, float]  # name, microseconds


def period(names: list[str]) -> int:
    """Length of the shortest sequence that `names` repeats."""
    return next(n for n in range(1, len(names) + 1) if len(names) % n == 0 and names == names[:n] * (len(names) // n))


def last_step(kernels: list[Kernel]) -> list[Kernel]:
    """The longest sequence of names that comes four times in a row at the end,
    but for what cleans up after an answer."""
    names = [name for name, _ in kernels]
    best: list[Kernel] = []
    for end in range(len(names), max(0, len(names) - 51), -1):
        for length in range(end // 4, len(best), -1):
            if names[end - length : end] * 4 == names[end - 4 * length : end]:
                best = kernels[end - length : end]
                break
    return best[: period([name for name, _ in best])] if best else []


def write_wrapper(s: Settings, ncu: str) -> pathlib.Path:
    """A folder with a bin/varserve-server that is run by ncu."""
    program = s.work / "ncu" / "bin" / "varserve-server"
    program.parent.mkdir(parents=True, exist_ok=True)
    options = "--clock-control none --cache-control none --metrics gpu__time_duration.sum --kernel-name-base function"
    options += f" --csv --print-units base --target-processes all --log-file {s.work}/kernels.csv"
    program.write_text(f'#!/bin/sh\nexec {ncu} {options} {ROOT}/bin/varserve-server "$@"\n')
    program.chmod(0o755)
    return program.parents[1]


def stop_servers() -> None:
    """All of this program's process group: ncu ends with them."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            program = (folder / "cmdline").read_text().split("\0")[0]
            if program.endswith("libexec/varserve-server") and os.getpgid(int(folder.name)) == os.getpgrp():
                os.kill(int(folder.name), signal.SIGTERM)


def profile(s: Settings, ncu: str, layers: int) -> list[Kernel]:
    os.environ["OMP_WAIT_POLICY"] = "passive"  # or the server starts itself anew
    build = write_wrapper(s, ncu)
    backend = [] if s.device == "cpu" else ["--backend", "cuda"]
    flags = ["--device", s.device, *backend, "--dtype", "bfloat16", "--prefix_cache", "0"]
    running = Server(build, s.few_layers(layers), *flags)
    running.answer(model.picture(1, 336), model.QUESTION, 12)
    stop_servers()
    try:
        running.process.wait(20)
    except subprocess.TimeoutExpired:
        running.process.kill()
    return read(s.work / "kernels.csv")


def read(path: pathlib.Path) -> list[Kernel]:
    with path.open(newline="") as file:
        lines = [line for line in file if line.startswith('"')]
    return [(line["Kernel Name"], float(line["Metric Value"].replace(",", "")) / 1e3) for line in csv.DictReader(lines)]


class Kernels:
    """Of a step, by name."""

    def __init__(self, step: list[Kernel]) -> None:
        self.count, self.microseconds = collections.Counter(name for name, _ in step), collections.Counter()
        for name, time in step:
            self.microseconds[name] += time

    def with_layers(self, one_more: "Kernels", layers: int) -> "Kernels":
        """This step with so many more layers, each of which is what `one_more` has more than this."""
        result = Kernels([])
        for name in {*self.count, *one_more.count}:
            result.count[name] = self.count[name] + layers * (one_more.count[name] - self.count[name])
            result.microseconds[name] = self.microseconds[name] + layers * (
                one_more.microseconds[name] - self.microseconds[name]
            )
        return result


def report(steps: list[list[Kernel]]) -> None:
    if not all(steps):
        row("decode step", "not found")
        return
    two, three = (Kernels(step) for step in steps)
    whole = two.with_layers(three, LAYERS - FEW_LAYERS[0])
    row("kernels of a layer", three.count.total() - two.count.total())
    row(f"kernels of a decode step, {LAYERS} layers", whole.count.total())
    row("their time", whole.microseconds.total() / 1e3, "ms")
    for name, time in whole.microseconds.most_common(12):
        row(f"{name[:60]}, {whole.count[name]} times", time / 1e3, "ms")
    detail("step of three layers", steps[1])


def main() -> None:
    s = settings()
    installed = sorted(pathlib.Path("/opt/nvidia/nsight-compute").glob("*/ncu"))
    ncu = shutil.which("ncu") or (str(installed[-1]) if installed else None)
    if ncu is None:
        row("left out", "Nsight Compute is not installed")
    else:
        report([last_step(profile(s, ncu, layers)) for layers in FEW_LAYERS])


if __name__ == "__main__":
    main()
