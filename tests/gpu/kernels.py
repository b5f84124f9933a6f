#!/usr/bin/env python3
"""The kernels of one decode step: Nsight Compute runs the server with two layers of the 7B; the layer that repeats is counted 32
times. What the host takes to launch them is not in these times."""

import collections
import csv
import os
import pathlib
import shutil
import signal

import model
from step import ROOT, Settings, detail, row, settings
from varserve_client import Server

LAYERS = 32
Kernel = tuple[str, float]  # name, microseconds


def period(names: list[str]) -> int:
    """Length of the shortest sequence that `names` repeats."""
    return next(n for n in range(1, len(names) + 1) if len(names) % n == 0 and names == names[:n] * (len(names) // n))


def repeated(kernels: list[Kernel], times: int, longest_tail: int) -> list[Kernel]:
    """The longest sequence that comes so many times in a row by its names, followed by at most `longest_tail` others."""
    names = [name for name, _ in kernels]
    best: list[Kernel] = []
    for end in range(len(names), max(0, len(names) - longest_tail - 1), -1):
        for length in range(end // times, len(best), -1):
            if names[end - length : end] * times == names[end - times * length : end]:
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


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [further for child in children for further in descendants(child)]


def profile(s: Settings, ncu: str) -> list[Kernel]:
    os.environ["OMP_WAIT_POLICY"] = "passive"  # or the server starts itself anew
    running = Server(write_wrapper(s, ncu), s.two_layers, "--device", s.device, "--dtype", "bfloat16", "--prefix_cache", "0")
    running.answer(model.picture(1, 336), model.QUESTION, 12)
    for pid in descendants(running.process.pid):
        if pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0].endswith("varserve-server"):
            os.kill(pid, signal.SIGTERM)
    running.process.wait()
    return read(s.work / "kernels.csv")


def read(path: pathlib.Path) -> list[Kernel]:
    with open(path, newline="") as file:
        lines = [line for line in file if line.startswith('"')]
    return [(line["Kernel Name"], float(line["Metric Value"].replace(",", "")) / 1e3) for line in csv.DictReader(lines)]


def report(kernels: list[Kernel]) -> None:
    step = repeated(kernels, times=4, longest_tail=50)  # the last steps of the answer, and what cleans up after it
    layer = repeated(step, times=2, longest_tail=len(step))
    if not layer:
        row("decode step", f"not found among {len(kernels)} kernels")
        return
    whole = step + (LAYERS - 2) * layer
    row("kernels of a layer", len(layer))
    row(f"kernels of a decode step, {LAYERS} layers", len(whole))
    row("their time", sum(time for _, time in whole) / 1e3, "ms")
    times: dict[str, list[float]] = collections.defaultdict(list)
    for name, time in whole:
        times[name].append(time)
    for name, each in sorted(times.items(), key=lambda item: -sum(item[1]))[:12]:
        row(f"{name[:60]}, {len(each)} times", sum(each) / 1e3, "ms")
    detail("layer", layer)


def main() -> None:
    s = settings()
    installed = sorted(pathlib.Path("/opt/nvidia/nsight-compute").glob("*/ncu"))
    ncu = shutil.which("ncu") or (str(installed[-1]) if installed else None)
    if ncu is None:
        row("left out", "there is no Nsight Compute")
    else:
        report(profile(s, ncu))


if __name__ == "__main__":
    main()
