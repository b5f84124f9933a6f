"""The real server with the embedded model: VARSERVE_BUILD is the build folder, VARSERVE_EMBEDDED_MODEL the model's."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path += [str(ROOT / "tests" / "testing"), str(ROOT / "tests" / "deploy")]

from server_process import ServerProcess  # noqa: E402 (found by the line above)

from varserve import Client  # noqa: E402

Start = Callable[..., ServerProcess]


@pytest.fixture(scope="session")
def start() -> Iterator[Start]:
    """Starts a server with these flags; all end with the tests."""
    running: list[ServerProcess] = []

    def start_server(*flags: str, ready: bool = True, **options: str) -> ServerProcess:
        build, model = os.environ["VARSERVE_BUILD"], os.environ["VARSERVE_EMBEDDED_MODEL"]
        server = ServerProcess(build, model, "--model_name=embedded", *flags, **{"metrics": "", **options})
        running.append(server)
        if ready:
            server.wait_until_ready()
        return server

    yield start_server
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def server(start: Start) -> ServerProcess:
    return start()


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.address) as connected:
        yield connected


@pytest.fixture(scope="session")
def castle() -> Path:
    """A picture of a rocket, a bucket, a castle and a handbag."""
    return ROOT / "models" / "embedded" / "demo" / "castle.jpg"


@pytest.fixture(scope="session")
def koala() -> Path:
    return ROOT / "models" / "embedded" / "demo" / "koala.jpg"
