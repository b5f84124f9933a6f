"""Unpack the license texts of wheels. usage: wheel_licenses.py OUT WHEEL..."""

import pathlib
import re
import sys
import zipfile

# torch-2.15.0.dist-info/licenses/third_party/FP16/LICENSE
LICENSE = re.compile(r"([A-Za-z0-9_.]+)-[^/]+\.dist-info/licenses/(.*[^/])")


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    for wheel in sys.argv[2:]:
        with zipfile.ZipFile(wheel) as archive:
            found = [match for name in archive.namelist() if (match := LICENSE.fullmatch(name))]
            if not found:
                sys.exit(f"{wheel} has no license")
            for match in found:
                target = out / match[1].replace("_", "-") / match[2]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(match[0]))


if __name__ == "__main__":
    main()
