"""The card: its name, driver and torch; how fast it reads and copies memory and multiplies bfloat16 matrices."""

import json
import pathlib
import platform
import statistics
import subprocess
import time
from collections.abc import Callable

import torch

from step import Settings, detail, row, settings


def seconds(s: Settings, work: Callable[[], object], rounds: int = 15) -> float:
    """Median time of a piece of work on the device."""
    times = []
    for _ in range(3 + rounds):
        if s.device == "cpu":
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        else:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(times[3:])


def processor() -> str:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def identity(s: Settings) -> None:
    row("torch", torch.__version__)
    row("processor", f"{processor()}, {s.threads} CPUs")
    if s.device == "cpu":
        return
    properties = torch.cuda.get_device_properties(0)
    query = [
        "nvidia-smi",
        "--query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm",
        "--format=csv,noheader",
    ]
    row("card", properties.name)
    row("nvidia-smi", subprocess.run(query, check=False, capture_output=True, text=True).stdout.strip())
    detail("properties", str(properties))


def memory(s: Settings) -> None:
    size = 1 << (22 if s.tiny else 31)  # values of two bytes
    data = torch.ones(size, dtype=torch.bfloat16, device=s.device)
    copy = torch.empty_like(data)
    # Of two reductions the faster one, which memory bounds.
    read = min(seconds(s, data.view(torch.int32).max), seconds(s, data.view(torch.float32).sum))
    row("memory read", 2 * size / read / 1e9, "GB/s")
    row("memory copied, read and written", 4 * size / seconds(s, lambda: copy.copy_(data)) / 1e9, "GB/s")
    (s.work / "card.json").write_text(json.dumps({"read_bytes_per_second": 2 * size / read}))


def products(s: Settings) -> None:
    side = 512 if s.tiny else 8192
    a, b = (torch.randn(side, side, device=s.device).to(torch.bfloat16) for _ in range(2))
    row(f"bfloat16 product of {side} x {side}", 2 * side**3 / seconds(s, lambda: a @ b) / 1e12, "TFLOP/s")
    # One row by the 7B's largest matrix: what a decode step is made of.
    x = torch.randn(1, 4096, device=s.device).bfloat16()
    matrices = torch.randn(2 if s.tiny else 16, 11008, 4096, device=s.device).bfloat16()  # more than caches hold
    read = 2 * matrices.numel() / seconds(s, lambda: [x @ matrix.T for matrix in matrices])
    row("bfloat16 [1, 4096] by [4096, 11008], memory read", read / 1e9, "GB/s")


def main() -> None:
    s = settings()
    identity(s)
    memory(s)
    products(s)


if __name__ == "__main__":
    main()
