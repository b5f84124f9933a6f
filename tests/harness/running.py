"""A real server with the embedded model. Needs VARSERVE_BUILD and VARSERVE_EMBEDDED_MODEL; `./dev test --harness` sets
them."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "testing"))
from server_process import ServerProcess  # noqa: E402

__all__ = ["ServerProcess"]

NAME = "embedded"
CASTLE = ROOT / "models" / "embedded" / "demo" / "castle.jpg"
BENCHMARK = ROOT / "models" / "embedded" / "benchmark"


@contextlib.contextmanager
def serving() -> Iterator[ServerProcess]:
    """A ready server for a while."""
    build, model = os.environ["VARSERVE_BUILD"], os.environ["VARSERVE_EMBEDDED_MODEL"]
    server = ServerProcess(build, model, f"--model_name={NAME}", metrics="")
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()
