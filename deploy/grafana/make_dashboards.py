"""Writes the dashboards next to this script as JSON; with --check, reports whether they are current.

Needs the packages of tests/observe/requirements.lock; ./dev observe --write installs them.
"""

import argparse
import json
import pathlib
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import serving, var

HERE = pathlib.Path(__file__).resolve().parent


def dashboards() -> dict[str, str]:
    """File name to JSON."""
    names = {module: (module.UID, module.TITLE) for module in (serving, var)}
    made = {"serving.json": serving.make(names[var]), "var.json": var.make(names[serving])}
    return {name: _number_panels(json.dumps(board.build(), cls=JSONEncoder)) for name, board in made.items()}


def _number_panels(text: str) -> str:
    board = json.loads(text)
    for number, panel in enumerate(board["panels"], 1):
        panel["id"] = number
    return json.dumps(board, indent=1) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with code 1 if a file is not current")
    check = parser.parse_args().check
    stale = [
        name for name, text in dashboards().items() if not (HERE / name).exists() or (HERE / name).read_text() != text
    ]
    if check:
        for name in stale:
            print(f"deploy/grafana/{name} is not current; regenerate it with ./dev observe --write", file=sys.stderr)
        return 1 if stale else 0
    for name, text in dashboards().items():
        (HERE / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
