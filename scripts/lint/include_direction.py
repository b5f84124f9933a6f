"""Checks that folders of server/ and tools/ include only folders below them. Prints violations and exits with 1."""

import re
import sys

from sources import ROOT, report, sources

# A folder may include only what is right of its colon. The link order in CMakeLists.txt says the same.
# A folder in a folder is either part of it or has its own row, such as "backend/cpu". Folders are in server/, except
# those that begin with "tools/".
ALLOWED = {
    "base": {"base"},
    "fetch": {"fetch", "base"},
    "image": {"image", "base"},
    "text": {"text", "base"},
    "interventions": {"interventions", "base"},
    "backend": {"backend", "interventions"},
    "backend/cpu": {"backend/cpu", "backend", "interventions"},
    "backend/torch": {"backend/torch", "backend", "interventions"},
    "backend/cuda": {"backend/cuda", "backend/torch", "backend", "interventions", "base"},
    "backend/table": {"backend/table", "backend/cpu", "backend/torch", "backend/cuda", "backend", "base"},
    "engine": {"engine", "interventions", "base"},
    "model": {
        "model",
        "engine",
        "backend/table",
        "backend",
        "backend/cpu",
        "interventions",
        "interventions/contrast",
        "interventions/var",
        "image",
        "base",
    },
    "telemetry": {"telemetry", "engine", "interventions", "base"},
    "interventions/setting": {"interventions/setting", "interventions", "telemetry", "base"},
    "interventions/var": {"interventions/var", "interventions/setting", "interventions", "telemetry", "base"},
    "interventions/attention": {
        "interventions/attention",
        "interventions/setting",
        "interventions",
        "telemetry",
        "base",
    },
    "interventions/contrast": {"interventions/contrast", "interventions", "telemetry", "base"},
    "interventions/icd": {"interventions/icd", "interventions/contrast", "base"},
    "interventions/m3id": {"interventions/m3id", "interventions/contrast", "base"},
    "interventions/pai": {
        "interventions/pai",
        "interventions/attention",
        "interventions/contrast",
        "interventions/setting",
    },
    "interventions/spin": {"interventions/spin", "interventions/attention", "interventions/setting"},
    "interventions/vaf": {"interventions/vaf", "interventions/attention", "interventions/setting"},
    "interventions/vcd": {"interventions/vcd", "interventions/contrast", "base"},
    "interventions/table": {
        "interventions/table",
        "interventions/attention",
        "interventions/contrast",
        "interventions/icd",
        "interventions/m3id",
        "interventions/pai",
        "interventions/spin",
        "interventions/vaf",
        "interventions/var",
        "interventions/vcd",
        "interventions/setting",
        "telemetry",
        "base",
    },
    "chat": {
        "chat",
        "fetch",
        "telemetry",
        "engine",
        "interventions",
        "interventions/contrast",
        "interventions/table",
        "interventions/setting",
        "interventions/vcd",
        "text",
        "image",
        "base",
    },
    "loader": {"loader", "chat", "model", "text", "image", "base"},
    "transport": {"transport", "telemetry", "engine", "base"},
    "openai": {"openai", "chat", "engine", "interventions", "text", "base"},
    "http": {"http", "openai", "transport", "chat", "telemetry", "engine", "interventions", "text", "base"},
    "grpc": {"grpc", "transport", "chat", "telemetry", "engine", "interventions", "base"},
    "tools/calibrate": {
        "tools/calibrate",
        "loader",
        "chat",
        "model",
        "engine",
        "backend",
        "backend/torch",
        "text",
        "image",
        "base",
    },
}
# Files outside these folders that all of them may include.
FOR_ALL = {"server/version.h"}
# Folders that may include gRPC.
GRPC = {"grpc"}
# Folders that may include LibTorch.
TORCH = {
    "backend",
    "backend/cpu",
    "backend/cuda",
    "backend/table",
    "backend/torch",
    "model",
    "loader",
    "tools/calibrate",
}


def layer_of(path: str) -> str | None:
    """The longest of ALLOWED's folders that a file is in; None for server/main.cc and for client/."""
    path = path.removeprefix("server/")
    layers = [layer for layer in ALLOWED if path.startswith(f"{layer}/")]
    return max(layers, key=len, default=None)


def problem_of(name: str, line: str) -> str | None:
    """What is wrong with a line of a file."""
    layer = layer_of(name)
    if included := re.match(r'#include "((server|tools)/[^"]+)"', line):
        is_allowed = included[1] in FOR_ALL or layer_of(included[1]) in ALLOWED.get(layer, set())
        is_program = layer is None and name.startswith("server/") and included[2] == "server"  # server/main.cc
        if not is_allowed and not is_program:
            return f"{layer or name} may not include {included[1]}"
    elif re.match(r"#include <(ATen|c10|torch)/", line) and layer and layer not in TORCH:
        return f"only {', '.join(sorted(TORCH))} may include LibTorch"
    elif re.match(r'#include (<grpc|"grpc/|".*[.]grpc[.]pb[.]h")', line) and layer and layer not in GRPC:
        return f"only {', '.join(sorted(GRPC))} may include gRPC"
    return None


def main() -> int:
    problems = []
    for name in sources("server/*.h", "server/*.cc", "tools/*.h", "tools/*.cc", "client/*.h", "client/*.cc"):
        in_layer = name.count("/") > 1 and not name.startswith("client/")
        if in_layer and layer_of(name) is None:
            problems.append(f"{name}: its folder is not in ALLOWED of scripts/lint/include_direction.py")
            continue
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            if problem := problem_of(name, line):
                problems.append(f"{name}:{number}: {problem}")
    return report(problems)


if __name__ == "__main__":
    sys.exit(main())
