"""The component tests on the device:
goldens, VAR, batching, calibration. Every test's result, those of a crashed run too."""

import concurrent.futures
import os
import re
import subprocess
from typing import TextIO

from step import ROOT, Settings, detail, row, settings

# The backend of the CPU's kernels does not run on a device.
LEFT_OUT = "*_cpu:*/cpu:*/Cpu:Interpreted/*"
# Equal to the last bit with any neighbours and any chunks: a promise of the CPU's kernels. Does the device keep it?
ACROSS_BATCHES = ("ThirtyTwoRequestsTogetherEqualOneByOne", "TokensAfterThePictureMayBeCutAnyway")
SHARDS = 4
PROGRAM = ROOT / "bin" / "component_test"
RESULT = re.compile(r"\[ +(OK|FAILED|SKIPPED) +\] (\S+?)(?:, where .*)? \(\d+ ms\)")
BEGIN = re.compile(r"\[ RUN +\] (\S+)")


def list_tests() -> list[str]:
    listed = subprocess.run(
        [PROGRAM, "--gtest_list_tests", f"--gtest_filter=-{LEFT_OUT}"], check=True, capture_output=True, text=True
    )
    tests, suite = [], ""
    for line in listed.stdout.splitlines():
        name = line.split("#")[0].rstrip()
        if name.startswith("  "):
            tests.append(suite + name.strip())
        elif name.endswith("."):
            suite = name
    return tests


def run(s: Settings, tests: list[str], log: TextIO) -> dict[str, str]:
    """Runs them in one process, in another one those after a test that ended the process."""
    results: dict[str, str] = {}
    environment = os.environ | {
        "VARSERVE_TEST_DEVICE": s.device,
        "VARSERVE_SOURCE_DIR": str(ROOT),
        "OMP_NUM_THREADS": str(max(1, s.threads // SHARDS)),
        "OMP_WAIT_POLICY": "passive",  # spinning threads would be in each other's way
    }
    while left := [test for test in tests if test not in results]:
        command = [PROGRAM, f"--gtest_filter={':'.join(left)}"]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        running = left[0]
        for line in process.stdout:
            log.write(line)
            if begin := BEGIN.match(line):
                running = begin[1]
            elif result := RESULT.match(line):
                results[result[2]] = result[1].lower()
                detail(result[2], results[result[2]])
        process.wait()
        if running not in results:
            results[running] = f"crashed ({process.returncode})"
            detail(running, results[running])
    return results


def main() -> None:
    s = settings()
    tests = list_tests()
    if s.tiny:
        tests = [test for test in tests if "gqa" in test or "float32" in test]
    with (
        (s.out / "component.log").open("w", buffering=1) as log,
        concurrent.futures.ThreadPoolExecutor(SHARDS) as pool,
    ):
        results: dict[str, str] = {}
        for part in pool.map(lambda i: run(s, tests[i::SHARDS], log), range(SHARDS)):
            results |= part
    for title, chosen in (
        ("tests", [t for t in tests if not t.rsplit("/", 1)[0].endswith(ACROSS_BATCHES)]),
        ("of equality across batches and chunks", [t for t in tests if t.rsplit("/", 1)[0].endswith(ACROSS_BATCHES)]),
    ):
        passed = [t for t in chosen if results[t] == "ok"]
        row(title, f"{len(passed)} of {len(chosen)} passed")
        for test in chosen:
            if results[test] != "ok":
                row(test, results[test])
    row("left out", LEFT_OUT)


if __name__ == "__main__":
    main()
