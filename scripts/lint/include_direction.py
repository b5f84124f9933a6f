"""Checks that folders of server/ include only what is below them. Ends with 1 if one does not, and prints where."""

import re
import sys

from sources import ROOT, report, sources

# A folder may include only what is right of its colon. The link order in CMakeLists.txt says the same.
ALLOWED = {
    "base": {"base"},
    "kernels": {"kernels"},
    "engine": {"engine", "base"},
    "preprocess": {"preprocess", "base"},
    "attention": {"attention", "kernels"},
    "model": {"model", "attention", "kernels", "engine", "base"},
    "telemetry": {"telemetry", "engine", "base"},
    "calibrate": {"calibrate", "model", "attention", "kernels", "engine", "preprocess", "base"},
    "rpc": {"rpc", "engine", "preprocess", "telemetry", "base"},
}
# Folders that may include LibTorch.
TORCH = {"attention", "model", "calibrate"}


def folder_of(name: str) -> str | None:
    """The folder in server/ a file is in; None for server/main.cc and for client/."""
    top, *rest = name.split("/")
    return rest[0] if top == "server" and len(rest) > 1 else None


def problem_of(name: str, line: str) -> str | None:
    """What is wrong with a line of a file."""
    folder = folder_of(name)
    if included := re.match(r'#include "server/(\w+)/', line):
        if name.startswith("client/") or (folder and included[1] not in ALLOWED[folder]):
            return f"{folder or 'client'} may not include server/{included[1]}"
    elif re.match(r"#include <(ATen|c10|torch)/", line) and folder and folder not in TORCH:
        return f"only {', '.join(sorted(TORCH))} may include LibTorch"
    return None


def main() -> int:
    return report(
        [
            f"{name}:{number}: {problem}"
            for name in sources("server/*.h", "server/*.cc", "client/*.h", "client/*.cc")
            for number, line in enumerate((ROOT / name).read_text().splitlines(), 1)
            if (problem := problem_of(name, line))
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
