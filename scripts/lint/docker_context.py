"""Checks that .dockerignore lets through what the Dockerfile copies, and nothing else. Ends with 1 if not."""

import re
import sys

from sources import ROOT, report


def main() -> int:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = {
        source
        for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE)
        for source in sources.split()
    }
    allowed = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    within = {source: {name for name in allowed if f"{source}/".startswith(f"{name}/")} for source in copied}
    unused = allowed - set().union(*within.values())
    problems = [
        f".dockerignore: lacks {source}, which the Dockerfile copies" for source in copied if not within[source]
    ]
    problems += [f".dockerignore: has {name}, which the Dockerfile does not copy" for name in unused]
    return report(sorted(problems))


if __name__ == "__main__":
    sys.exit(main())
