"""The sources in git, for the checks in this folder."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def sources(*patterns: str) -> list[str]:
    """Paths in the repository that match a pattern of git's; a file that is deleted but not committed is left out."""
    command = ["git", "-C", str(ROOT), "ls-files", "--", *patterns]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in names if (ROOT / name).is_file()]


def report(problems: list[str]) -> int:
    """Prints them, one a line; 1 if there are any."""
    for problem in problems:
        print(problem)
    return int(bool(problems))
