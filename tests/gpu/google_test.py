"""Runs tests of a GoogleTest program of the bundle, each to its result, those after a crash too."""

import os
import re
import subprocess
from typing import TextIO

from step import ROOT, Settings, detail, row

RESULT = re.compile(r"\[ +(OK|FAILED|SKIPPED) +\] (\S+?)(?:, where .*)? \(\d+ ms\)")
BEGIN = re.compile(r"\[ RUN +\] (\S+)")
# After these, nothing in the process can use the device any more.
DEVICE_LOST = re.compile(r"illegal|launch failure|device-side assert|misaligned", re.IGNORECASE)


def list_tests(program: str, gtest_filter: str) -> list[str]:
    command = [ROOT / "bin" / program, "--gtest_list_tests", f"--gtest_filter={gtest_filter}"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True)
    tests, suite = [], ""
    for line in listed.stdout.splitlines():
        name = line.split("#")[0].rstrip()
        if name.startswith("  "):
            tests.append(suite + name.strip())
        elif name.endswith("."):
            suite = name
    return tests


def run(s: Settings, program: str, tests: list[str], log: TextIO, processes: int = 1) -> dict[str, str]:
    """Runs them in one process, of so many at a time; in another one those after a test that ended the process,
    or lost the device."""
    results: dict[str, str] = {}
    environment = os.environ | {
        "VARSERVE_TEST_DEVICE": s.device,
        "VARSERVE_SOURCE_DIR": str(ROOT),
        "OMP_NUM_THREADS": str(max(1, s.threads // processes)),
        "OMP_WAIT_POLICY": "passive",  # spinning threads would be in each other's way
    }
    while left := [test for test in tests if test not in results]:
        command = [ROOT / "bin" / program, f"--gtest_filter={':'.join(left)}"]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        running, lost = left[0], False
        for line in process.stdout:
            log.write(line)
            lost |= bool(DEVICE_LOST.search(line))
            if begin := BEGIN.match(line):
                running = begin[1]
            elif result := RESULT.match(line):
                results[result[2]] = result[1].lower()
                detail(result[2], results[result[2]])
                if lost:
                    process.kill()
                    break
        process.wait()
        if running not in results:
            results[running] = f"crashed ({process.returncode})"
            detail(running, results[running])
    return results


def run_all(s: Settings, program: str, gtest_filter: str) -> None:
    """Runs the tests that match, and reports how many passed and what became of the others."""
    tests = list_tests(program, gtest_filter)
    with (s.out / f"{program}.log").open("w", buffering=1) as log:
        results = run(s, program, tests, log)
    row("tests", f"{sum(result == 'ok' for result in results.values())} of {len(tests)} passed")
    for test, result in results.items():
        if result != "ok":
            row(test, result)
