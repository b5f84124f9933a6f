"""Checks that every file that names the version names the one in CMakeLists.txt. Ends with 1 if one does not."""

import re
import sys

from sources import ROOT, report

# The version is the group of each match; every file has at least one.
PLACES = {
    "CHANGELOG.md": r"^## (\d+\.\d+\.\d+)",
    "client/python/pyproject.toml": r'^version = "(\S+)"$',
    "deploy/helm/varserve/Chart.yaml": r"^(?:version|appVersion): (\S+)$",
    "deploy/helm/values/cpu.yaml": r"^ *tag: (\d\S*)-cpu$",
    "deploy/kserve/varserve.yaml": r"image: varserve:(\d\S*)-cuda$",
    "docs/install.md": r"varserve(?:-server)?_(\d+\.\d+\.\d+)_amd64",
    "docs/deploy.md": r"\bvarserve:(\d\S*)-(?:cpu|cuda)\b",
}


def main() -> int:
    version = re.search(r"project\(varserve VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    problems = []
    for name, pattern in PLACES.items():
        found = re.findall(pattern, (ROOT / name).read_text(), re.MULTILINE)
        # The changelog begins with the newest.
        named = found[:1] if name == "CHANGELOG.md" else found
        if set(named) != {version}:
            problems.append(f"{name}: names version {', '.join(named) or 'none'}, CMakeLists.txt {version}")
    return report(problems)


if __name__ == "__main__":
    sys.exit(main())
