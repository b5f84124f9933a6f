"""A real server with the embedded model, and its clients. Needs VARSERVE_BUILD and VARSERVE_EMBEDDED_MODEL;
`./dev test` sets them."""

from __future__ import annotations

import base64
import contextlib
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator

import grpc
import openai

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests" / folder) for folder in ("testing", "deploy")]
from certificates import certificate  # noqa: E402
from server_process import ServerProcess, memory_bytes  # noqa: E402
from varserve_api import VisionLanguageStub, pb, var_pb  # noqa: E402

__all__ = ["ServerProcess", "VisionLanguageStub", "certificate", "memory_bytes", "pb", "var_pb"]

NAME = "embedded"
PICTURES = [ROOT / "models/embedded/demo" / name for name in ("koala.jpg", "castle.jpg")]


@contextlib.contextmanager
def serving(*flags: str) -> Iterator[ServerProcess]:
    """A ready server for a while."""
    build, model = os.environ["VARSERVE_BUILD"], os.environ["VARSERVE_EMBEDDED_MODEL"]
    server = ServerProcess(build, model, f"--model_name={NAME}", *flags)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


def client(server: ServerProcess, key: str = "none", **options: object) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://{server.http_address}/v1", api_key=key, **{"max_retries": 0, **options})


def stub(server: ServerProcess) -> VisionLanguageStub:
    return VisionLanguageStub(grpc.insecure_channel(server.address))


def data_url(picture: pathlib.Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(picture.read_bytes()).decode()


def image_part(picture: pathlib.Path = PICTURES[0]) -> dict:
    return {"type": "image_url", "image_url": {"url": data_url(picture)}}


def text_part(text: str) -> dict:
    return {"type": "text", "text": text}


def question(text: str = "What is in the image?", *pictures: pathlib.Path) -> list[dict]:
    """The messages of a request: the pictures, then the text."""
    return [{"role": "user", "content": [*map(image_part, pictures or PICTURES[:1]), text_part(text)]}]


def metric(server: ServerProcess, name: str, *labels: str) -> float:
    """The sum of a metric's series that have these labels, such as 'code="OK"'."""
    lines = (line for line in server.scrape().splitlines() if line.startswith(f"varserve_{name}{{"))
    return sum(float(line.split()[-1]) for line in lines if all(label in line for label in labels))


def wait_until(condition: Callable[[], bool], timeout: float = 30) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
