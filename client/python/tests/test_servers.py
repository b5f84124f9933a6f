"""Servers that are full, late, or ask who we are."""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from certificates import certificate
from server_process import ServerProcess

from conftest import Start
from varserve import AsyncClient, Client, ResourceExhaustedError, Tls, UnauthenticatedError, UnavailableError


def test_a_full_server_is_asked_again_when_it_says_so(start: Start, castle: Path) -> None:
    server = start("--max_running=1", "--max_waiting=1")
    refused: list[ResourceExhaustedError] = []
    with Client(server.address) as client, ThreadPoolExecutor(4) as pool:

        def ask(retries: int) -> str:
            try:
                return client.ask(castle, "Describe the image.", max_retries=retries, max_tokens=3).text
            except ResourceExhaustedError as error:
                refused.append(error)
                return ""

        list(pool.map(ask, [0] * 4))
        assert refused
        assert all(error.retry_delay is not None for error in refused)
        assert len(set(pool.map(ask, [50] * 4))) == 1


def test_a_server_that_starts_late_is_waited_for(start: Start, castle: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    starting = threading.Timer(0.1, start, kwargs={"listen": address, "ready": False})
    starting.start()

    async def ask() -> str:
        async with AsyncClient(address, max_retries=30, timeout=60) as client:
            return (await client.ask(castle, "Is there a castle?")).text

    with Client(address) as client:
        with pytest.raises(UnavailableError):
            client.model()
        assert asyncio.run(ask()) == "Yes."
        assert client.ask(castle, "Is there a castle?", max_retries=30).text == "Yes."
    starting.join()


def test_tls_and_tokens(start: Start, tmp_path: Path) -> None:
    certificate(tmp_path, "DNS:varserve.test")
    (tmp_path / "tokens").write_text("me secret\n")
    server = start(
        f"--tls_cert={tmp_path}/tls.crt",
        f"--tls_key={tmp_path}/tls.key",
        f"--tls_client_ca={tmp_path}/ca.crt",
        f"--token_file={tmp_path}/tokens",
    )
    ca, cert, key = (tmp_path / name for name in ("ca.crt", "tls.crt", "tls.key"))
    mine = Tls(ca=ca, cert=cert, key=key.read_bytes(), server_name="varserve.test")

    async def name() -> str:
        async with AsyncClient(server.address, tls=mine, token="secret") as client:
            return (await client.model()).name

    assert asyncio.run(name()) == "embedded"
    with Client(server.address, tls=mine, token="secret") as client:
        assert client.model().name == "embedded"
    with Client(server.address, tls=mine, token="wrong") as client, pytest.raises(UnauthenticatedError):
        client.model()
    for tls, hint in (
        (None, "may use TLS"),
        (Tls(), "has a certificate that is not trusted"),
        (Tls(ca=ca, server_name="varserve.test"), "may require a client certificate"),
        (Tls(ca=ca, cert=cert, key=key), "has a certificate for another name"),
    ):
        with (
            Client(server.address, tls=tls, token="secret") as client,
            pytest.raises(UnavailableError, match=f"the server at {server.address} {hint}"),
        ):
            client.model(timeout=10)


def test_a_port_that_does_not_speak_grpc_is_pointed_out(server: ServerProcess) -> None:
    for address, tls, hint in (
        (server.http_address, None, "speaks HTTP/1.1; name its gRPC port"),
        (server.address, Tls(), "may not use TLS"),
    ):
        with (
            Client(address, tls=tls) as client,
            pytest.raises(UnavailableError, match=f"the server at {address} {hint}"),
        ):
            client.model(timeout=10)
