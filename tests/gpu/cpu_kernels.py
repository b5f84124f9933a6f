"""The CPU's kernels on the processor next to the GPU, which may be of a kind that few machines have: those for tiles
(AMX) run on emulated ones elsewhere."""

import pathlib

from google_test import run_all
from step import row, settings

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8", "amx_fp16")


def main() -> None:
    s = settings()
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    has = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    row("instruction sets", ", ".join(flag for flag in FLAGS if flag in has))
    run_all(s, "cpu_kernels_test", "*")


if __name__ == "__main__":
    main()
