"""Checks that files and functions are short. Ends with 1 and a line for each that is too long."""

import sys

from cpp_functions import functions
from sources import ROOT, report, sources

FILE_LINES = 300  # of .h, .cc and .py in server/, client/, tools/ and tests/
FUNCTION_LINES = 60  # in server/, client/ and tools/, from the first line of the declaration to the closing brace


def long_files() -> list[str]:
    lines = {
        name: len((ROOT / name).read_text().splitlines())
        for folder in ("server", "client", "tools", "tests")
        for name in sources(*(f"{folder}/*.{ending}" for ending in ("h", "cc", "py")))
    }
    return [
        f"{name}: {count} lines; a file has at most {FILE_LINES}" for name, count in lines.items() if count > FILE_LINES
    ]


def long_functions() -> list[str]:
    return [
        f"{name}:{function.line}: {function.name} has {function.lines} lines; a function has at most {FUNCTION_LINES}"
        for name in sources(
            *(f"{folder}/*.{ending}" for folder in ("server", "client", "tools") for ending in ("h", "cc"))
        )
        for function in functions(name, (ROOT / name).read_text())
        if function.lines > FUNCTION_LINES
    ]


def main() -> int:
    return report(long_files() + long_functions())


if __name__ == "__main__":
    sys.exit(main())
