"""The CPU's kernels on the processor beside the GPU, which may be of a kind that few machines have: those for tiles
(AMX) run on emulated ones elsewhere."""

import pathlib

from google_test import list_tests, run
from step import row, settings

PROGRAM = "cpu_kernels_test"
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8", "amx_fp16")


def main() -> None:
    s = settings()
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    has = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    row("instruction sets", ", ".join(flag for flag in FLAGS if flag in has))
    tests = list_tests(PROGRAM, "*")
    with (s.out / "cpu_kernels.log").open("w", buffering=1) as log:
        results = run(s, PROGRAM, tests, log)
    row("tests", f"{sum(result == 'ok' for result in results.values())} of {len(tests)} passed")
    for test, result in results.items():
        if result != "ok":
            row(test, result)


if __name__ == "__main__":
    main()
