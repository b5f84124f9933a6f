"""Asks a running server through its command-line client."""

import argparse
import json
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

CLIENT = Path(__file__).resolve().parents[3] / "build" / "release" / "bin" / "varserve"


def server_flags() -> argparse.ArgumentParser:
    """A parent parser with --address and --client."""
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument("--address", default="localhost:50051", help="of the server (default: %(default)s)")
    flags.add_argument("--client", type=Path, default=CLIENT, metavar="FILE", help="default: %(default)s")
    return flags


class ServerError(Exception):
    """The error that the client reported."""


class ServerAnswerer:
    """`var`: the client's flags, such as ["--var", "on", "--rho", "0.5"]; empty: the server's default setting.

    Asks all questions about a picture at once: the server computes the picture for the first one, and the others in one
    batch.
    """

    def __init__(self, address: str, var: list[str], client: Path = CLIENT, parallel: int = 8) -> None:
        self._command = [str(client), "ask", "--address", address, "--json", *var]
        self._parallel = parallel
        self.reports: list[dict] = []  # VarReport of each reply about the last picture; empty with VAR off

    def answer(self, picture: Image.Image, questions: list[str]) -> list[str]:
        with tempfile.NamedTemporaryFile(suffix=".png") as file, ThreadPoolExecutor(self._parallel) as pool:
            picture.save(file, "PNG")
            file.flush()
            finished = list(pool.map(lambda question: self._ask(file.name, question), questions))
        self.reports = [reply["var_report"] for reply in finished if "var_report" in reply]
        return [reply["text"] for reply in finished]

    def _ask(self, picture: str, question: str) -> dict:
        try:
            run = subprocess.run([*self._command, picture, question], capture_output=True, text=True, check=False)
        except OSError as error:
            raise ServerError(f"{self._command[0]}: {error.strerror}; build it with ./dev ask --help") from None
        if run.returncode != 0:
            raise ServerError(run.stderr.strip())
        return json.loads(run.stdout.splitlines()[-1])["finished"]
