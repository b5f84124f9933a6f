"""Unpack files from wheels: headers of torch to OUT/include, everything else to OUT/lib without its folders.

usage: unpack_wheels.py OUT PATTERN... -- WHEEL...
A pattern matches the path of a file in a wheel, or its name. Ends with 1 if one matches nothing.
"""

import pathlib
import shutil
import sys
import zipfile
from fnmatch import fnmatch

HEADERS = "torch/include/"
# An old protobuf and fmt 12 among torch's headers would shadow the system's.
SHADOWING = ("torch/include/google/", "torch/include/fmt/")


def unpack(out: pathlib.Path, patterns: list[str], wheels: list[str]) -> set[str]:
    """The patterns that match nothing."""
    missing = set(patterns)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                library = pathlib.PurePath(name).name
                matching = {p for p in patterns if fnmatch(name, p) or fnmatch(library, p)}
                if not matching or name.startswith(SHADOWING) or name.endswith("/"):
                    continue
                missing -= matching
                target = out / (name.removeprefix("torch/") if name.startswith(HEADERS) else f"lib/{library}")
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 22)
    return missing


def main() -> None:
    out, separator = pathlib.Path(sys.argv[1]), sys.argv.index("--")
    missing = unpack(out, sys.argv[2:separator], sys.argv[separator + 1 :])
    if missing:
        sys.exit(f"not in the wheels: {', '.join(sorted(missing))}")


if __name__ == "__main__":
    main()
