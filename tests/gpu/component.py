"""The component tests on the device:
goldens, VAR, batching, calibration. Every test's result, those of a crashed run too."""

import concurrent.futures

from google_test import list_tests, run
from step import row, settings

# The backend of the CPU's kernels does not run on a device.
LEFT_OUT = "*_cpu:*/cpu:*/Cpu:Interpreted/*"
# Equal to the last bit with any neighbours and any chunks: a promise of the CPU's kernels. Does the device keep it?
ACROSS_BATCHES = (
    "AnInterventionOfOneRequestChangesNoBitOfAnother",
    "NeighboursChangeNoBit",
    "NeutralParametersEqualOffBitForBit",
    "SixteenRequestsTogetherEqualEachAlone",
    "ThirtyTwoRequestsTogetherEqualOneByOne",
    "TokensAfterThePictureMayBeCutAnyway",
)
SHARDS = 4
PROGRAM = "component_test"


def main() -> None:
    s = settings()
    tests = list_tests(PROGRAM, f"-{LEFT_OUT}")
    if s.tiny:
        tests = [test for test in tests if "gqa" in test or "float32" in test]
    with (
        (s.out / "component.log").open("w", buffering=1) as log,
        concurrent.futures.ThreadPoolExecutor(SHARDS) as pool,
    ):
        results: dict[str, str] = {}
        for part in pool.map(lambda i: run(s, PROGRAM, tests[i::SHARDS], log, SHARDS), range(SHARDS)):
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
