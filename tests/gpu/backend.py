"""The cuda backend's kernels on the device, in bfloat16 and float16, against the torch backend on the CPU."""

from google_test import list_tests, run
from step import row, settings

PROGRAM = "backend_test"


def main() -> None:
    s = settings()
    tests = list_tests(PROGRAM, "*CudaBackendTest*/gpu_*:*Kernels*")
    with (s.out / "backend.log").open("w", buffering=1) as log:
        results = run(s, PROGRAM, tests, log)
    row("tests", f"{sum(result == 'ok' for result in results.values())} of {len(tests)} passed")
    for test, result in results.items():
        if result != "ok":
            row(test, result)


if __name__ == "__main__":
    main()
