"""The way to the servers: where they are, how they are trusted, who we say we are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from varserve.errors import InvalidArgumentError
from varserve.target import parse_target

# A server that is gone without a word is noticed within these, also while a long prefill sends nothing. VARServe allows
# a ping every ten seconds.
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
        return grpc.ssl_channel_credentials(_read("ca", self.ca), _read("key", self.key), _read("cert", self.cert))


def _read(name: str, pem: Pem | None) -> bytes | None:
    if pem is None or isinstance(pem, bytes):
        return pem
    try:
        return Path(pem).read_bytes()
    except OSError as error:
        raise InvalidArgumentError(f"tls.{name}: {pem} cannot be read: {error.strerror}") from None


@dataclass(frozen=True)
class Connection:
    """Calls go round robin over all addresses that answer. Nothing is dialled before the first call."""

    address: str
    tls: Tls | None

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
