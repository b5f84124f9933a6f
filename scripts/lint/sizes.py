"""Checks that files and functions are short. Ends with 1 and a line for each that is too long."""

import sys

from cpp_functions import functions
from sources import ROOT, report, sources

FILE_LINES = 300  # of .h, .cc and .py in server/, client/, tools/ and tests/
FUNCTION_LINES = 60  # in server/, client/ and tools/, from the first line of the declaration to the closing brace

# Too long and known: to be split, not to be added to. One that is short by now has to leave the list.
LONG_FILES = {
    "tests/e2e/limits_test.cc",
    "tests/unit/engine/engine_core_test.cc",
    "tests/unit/engine/engine_test.cc",
    "tests/unit/engine/queue_policy_test.cc",
    "tests/unit/text/prompt_builder_test.cc",
    "tests/unit/text/tokenizer_test.cc",
    "tests/unit/grpc/inference_service_test.cc",
}
LONG_FUNCTIONS = {"Metrics::Metrics", "Serving::Load"}


def long_files() -> dict[str, str]:
    """Each with what is wrong with it."""
    lines = {
        name: len((ROOT / name).read_text().splitlines())
        for folder in ("server", "client", "tools", "tests")
        for name in sources(*(f"{folder}/*.{ending}" for ending in ("h", "cc", "py")))
    }
    return {
        name: f"{name}: {count} lines; a file has at most {FILE_LINES}"
        for name, count in lines.items()
        if count > FILE_LINES
    }


def long_functions() -> dict[str, str]:
    return {
        function.name: f"{name}:{function.line}: {function.name} has {function.lines} lines; "
        f"a function has at most {FUNCTION_LINES}"
        for folder in ("server", "client", "tools")
        for name in sources(f"{folder}/*.h", f"{folder}/*.cc")
        for function in functions(name, (ROOT / name).read_text())
        if function.lines > FUNCTION_LINES
    }


def unexpected(found: dict[str, str], known: set[str]) -> list[str]:
    problems = [problem for name, problem in found.items() if name not in known]
    return problems + [
        f"{name}: no longer too long; remove it from {__file__}" for name in sorted(known - found.keys())
    ]


def main() -> int:
    return report(unexpected(long_files(), LONG_FILES) + unexpected(long_functions(), LONG_FUNCTIONS))


if __name__ == "__main__":
    sys.exit(main())
