"""The way to the servers: where they are, how they are trusted, who we say we are."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from varserve.connection_hint import connection_hint
from varserve.errors import InvalidArgumentError
from varserve.fields import must_be, text
from varserve.target import parse_target

# A server that vanishes is detected within this time, even while a long prefill sends nothing. VARServe allows a ping
# every ten seconds.
_KEEPALIVE = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
)
Pem = str | os.PathLike[str] | bytes  # the path of a PEM file, or its contents


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Trust in the server, and our own certificate where it asks for one (mTLS)."""

    ca: Pem | None = None  # who may sign the server's certificate; None: gRPC's default roots
    cert: Pem | None = None
    key: Pem | None = None
    server_name: str | None = None  # in the server's certificate, where it is not the address's

    def credentials(self) -> grpc.ChannelCredentials:
        if (self.cert is None) != (self.key is None):
            raise InvalidArgumentError("tls: a client certificate needs its key, and a key its certificate")
        key = _read("key", self.key)
        if key is not None and b"PRIVATE KEY-----" not in key:
            raise InvalidArgumentError("tls.key: has no private key in PEM format")
        return grpc.ssl_channel_credentials(_certificates("ca", self.ca), key, _certificates("cert", self.cert))


def _certificates(name: str, pem: Pem | None) -> bytes | None:
    contents = _read(name, pem)
    if contents is None:
        return None
    try:  # gRPC notices during the first call, and then says only that no handshake is possible
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=contents.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        raise InvalidArgumentError(f"tls.{name}: has no valid certificate in PEM format") from None
    return contents


def _read(name: str, pem: Pem | None) -> bytes | None:
    if pem is None or isinstance(pem, bytes):
        return pem
    if not isinstance(pem, str | os.PathLike):
        raise must_be(f"tls.{name}", "a path or bytes", pem)
    try:
        return Path(pem).read_bytes()
    except OSError as error:
        raise InvalidArgumentError(f"tls.{name}: {pem} cannot be read: {error.strerror}") from None


@dataclass(frozen=True)
class Connection:
    """Calls go round robin over all addresses that answer. Nothing is dialled before the first call."""

    address: str
    tls: Tls | None
    token: str  # bearer token; empty: none

    def __post_init__(self) -> None:
        text("token", self.token)
        if not isinstance(self.tls, Tls | None):
            raise must_be("tls", "a Tls", self.tls)

    def open(self) -> grpc.Channel:
        target, options = self._dial()
        if self.tls is None:
            return grpc.insecure_channel(target, options)
        return grpc.secure_channel(target, self.tls.credentials(), options)

    def open_async(self) -> grpc.aio.Channel:
        target, options = self._dial()
        if self.tls is None:
            return grpc.aio.insecure_channel(target, options)
        return grpc.aio.secure_channel(target, self.tls.credentials(), options)

    def hint(self, message: str) -> str:
        """Why a call was UNAVAILABLE, see connection_hint."""
        return connection_hint(message, self.address, tls=self.tls is not None)

    def _dial(self) -> tuple[str, list[tuple[str, str | int]]]:
        # A reply with attention maps exceeds gRPC's 4 MB; the server has limits.
        options: list[tuple[str, str | int]] = [
            ("grpc.lb_policy_name", "round_robin"),
            ("grpc.max_receive_message_length", -1),
            *_KEEPALIVE,
        ]
        if self.tls is not None and self.tls.server_name:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        elif self.tls is not None and "," in self.address:
            raise InvalidArgumentError(
                "tls: several addresses need the server name that all their certificates have: server_name"
            )
        return parse_target(self.address), options
