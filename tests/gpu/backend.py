"""The cuda backend's kernels on the device, in bfloat16 and float16, against the torch backend on the CPU."""

import os
import re
import subprocess

from step import ROOT, detail, row, settings

RESULT = re.compile(r"\[ +(OK|FAILED|SKIPPED) +\] (\S+?)(?:, where .*)? \(\d+ ms\)")


def main() -> None:
    s = settings()
    environment = os.environ | {"VARSERVE_TEST_DEVICE": s.device, "VARSERVE_SOURCE_DIR": str(ROOT)}
    command = [ROOT / "bin" / "backend_test", "--gtest_filter=*CudaBackendTest*/gpu_*:*Kernels*"]
    with (s.out / "backend.log").open("w", buffering=1) as log:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        results: dict[str, str] = {}
        for line in process.stdout:
            log.write(line)
            if result := RESULT.match(line):
                results[result[2]] = result[1].lower()
                detail(result[2], results[result[2]])
        code = process.wait()
    passed = [test for test, result in results.items() if result == "ok"]
    row("tests", f"{len(passed)} of {len(results)} passed" + ("" if code in (0, 1) else f", crashed ({code})"))
    for test, result in results.items():
        if result != "ok":
            row(test, result)


if __name__ == "__main__":
    main()
