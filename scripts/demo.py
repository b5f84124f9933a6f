#!/usr/bin/env python3
"""The demo: ask a running server about two pictures, compare VAR off with VAR on, write an explain page.

Needs the embedded model. Prints each command with its reply. An answer that is not the one in the file of
questions ends the demo with an error.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "models" / "embedded" / "demo"  # the pictures, and questions.json
PAGE_DATA = ('<script type="application/json" id="data">', "</script>")


class Client:
    """The command line client, perhaps in a container: `pictures` is their folder as the client sees it."""

    def __init__(self, command: list[str], address: str, pictures: str) -> None:
        self._command = command
        self._address = address
        self._pictures = pictures

    def run(self, command: str, item: dict[str, str], *flags: str, shown: tuple[str, ...] = ()) -> str:
        """Prints the command as one would type it, with the flags `shown`, and returns what it says."""
        words = " ".join(["varserve", command, item["picture"], f'"{item["question"]}"', *shown])
        print(f"\n\033[1m$ {words}\033[0m" if sys.stdout.isatty() else f"\n$ {words}", flush=True)
        picture = f"{self._pictures}/{item['picture']}"
        process = subprocess.run(
            [*self._command, command, "--address", self._address, *flags, picture, item["question"]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
        )
        return process.stdout


def page_data(page: str) -> dict:
    """What the explain page draws."""
    begin, end = PAGE_DATA
    return json.loads(page.split(begin, 1)[1].split(end, 1)[0])


def show(client: Client, questions: dict, page_file: Path) -> list[str]:
    """Runs the demo and returns a line for every wrong answer."""
    wrong = []

    def check(item: dict[str, str], answer: str) -> None:
        if answer != item["answer"]:
            wrong.append(f'{item["picture"]}: "{item["question"]}": "{answer}" instead of "{item["answer"]}"')

    for item in questions["ask"]:
        answer = client.run("ask", item)
        print(answer, end="")
        check(item, answer.rstrip("\n"))
    compared = questions["compare"]
    print(client.run("compare", compared), end="")
    page = client.run("explain", compared, "--out", "-", shown=("--out", page_file.name))
    page_file.parent.mkdir(parents=True, exist_ok=True)
    page_file.write_text(page, encoding="utf-8")
    for mode in ("off", "on"):
        check(compared, page_data(page)[mode]["text"])
    print(page_file.resolve().as_uri())
    print(
        "Open it in a browser. Pink frames mark the visual sinks: a few tokens of background that hold much of the\n"
        'attention on the picture. The map "Change" shows what VAR moved: from sinks (blue) to the objects (orange).'
    )
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="localhost:50051", help="of the server (default: %(default)s)")
    parser.add_argument("--page", type=Path, required=True, metavar="FILE", help="HTML file for the explain page")
    parser.add_argument(
        "--pictures",
        default=str(DEMO),
        metavar="DIR",
        help="their folder as the client sees it (default: %(default)s)",
    )
    parser.add_argument(
        "--questions",
        type=Path,
        default=DEMO / "questions.json",
        metavar="FILE",
        help="default: %(default)s",
    )
    parser.add_argument("client", nargs="+", metavar="CLIENT", help="command that runs the client, after --")
    args = parser.parse_args()

    try:
        wrong = show(
            Client(args.client, args.address, args.pictures),
            json.loads(args.questions.read_text(encoding="utf-8")),
            args.page,
        )
    except subprocess.CalledProcessError as error:
        print(f"demo: {args.client[-1]} ended with {error.returncode}", file=sys.stderr)
        return 1
    for line in wrong:
        print(f"demo: wrong answer: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
