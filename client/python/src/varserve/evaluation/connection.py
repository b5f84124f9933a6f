"""The flags that say which server is asked: those of the command line client."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from varserve.channel import Tls
from varserve.client import Client
from varserve.errors import InvalidArgumentError


def connection_flags() -> argparse.ArgumentParser:
    """A parent parser."""
    flags = argparse.ArgumentParser(add_help=False)
    group = flags.add_argument_group("connection")
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        default=os.environ.get("VARSERVE_ADDRESS", "localhost:50051"),
        help="of the server, see varserve --help (default: $VARSERVE_ADDRESS or %(default)s)",
    )
    group.add_argument("--tls", action="store_true", help="use TLS; trust the public certificate authorities")
    for name, about in (
        ("--tls-ca", "use TLS; PEM file of the authority that signed the server's certificate"),
        ("--tls-cert", "use TLS; PEM file of the client's certificate, for mTLS"),
        ("--tls-key", "PEM file of the private key of --tls-cert"),
    ):
        group.add_argument(name, metavar="FILE", help=about)
    group.add_argument(
        "--tls-server-name", metavar="NAME", help="use TLS; name in the server's certificate, if it is not the host"
    )
    group.add_argument(
        "--token", default=os.environ.get("VARSERVE_TOKEN", ""), help="bearer token (default: $VARSERVE_TOKEN)"
    )
    group.add_argument("--token-file", type=Path, metavar="FILE", help="file with the bearer token in its first line")
    return flags


def connect(args: argparse.Namespace) -> Client:
    files = (args.tls_ca, args.tls_cert, args.tls_key, args.tls_server_name)
    tls = None
    if args.tls or any(files):
        tls = Tls(ca=args.tls_ca, cert=args.tls_cert, key=args.tls_key, server_name=args.tls_server_name)
    token = _first_token(args.token_file) if args.token_file else args.token
    return Client(args.address, tls=tls, token=token)


def _first_token(path: Path) -> str:
    """Of a file in the server's format: lines of "NAME TOKEN" or "TOKEN"."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InvalidArgumentError(f"token_file: {path} cannot be read: {error.strerror}") from None
    for line in lines:
        words = line.split()
        if words and not words[0].startswith("#"):
            return words[-1]
    raise InvalidArgumentError(f"token_file: {path} holds no token")
