"""The address a person writes, as the target gRPC dials."""

from __future__ import annotations

import socket

from varserve.errors import InvalidArgumentError
from varserve.fields import text

_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "xds:")


def parse_target(address: str) -> str:
    """ "host:port" and what has a scheme of gRPC's ("dns:///host:port", "unix:/path") stay as they are. Of several
    addresses, "a:1,b:2", the names are looked up here, once, since gRPC takes a list of numbers only."""
    address = text("address", address).strip()
    if address.startswith(_SCHEMES):
        return address
    hosts = [_host_port(one.strip()) for one in address.split(",")]
    if len(hosts) == 1:
        return address
    for family, scheme in ((socket.AF_INET, "ipv4:"), (socket.AF_INET6, "ipv6:")):
        numbers = [_resolve(host, port, family) for host, port in hosts]
        if None not in numbers:
            return scheme + ",".join(str(number) for number in numbers)
    for host, port in hosts:
        if _resolve(host, port, socket.AF_UNSPEC) is None:
            raise _invalid(address, f"has a host that does not resolve: {host}")
    raise _invalid(address, "is a list in which not every host has an address of the same kind, IPv4 or IPv6")


def _invalid(address: str, problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(f'address: "{address}" {problem}')


def _host_port(address: str) -> tuple[str, str]:
    if "://" in address:
        raise _invalid(address, "begins with a scheme that is not gRPC's; write host:port")
    host, colon, port = address.rpartition(":")
    if not colon:
        raise _invalid(address, "has no port; write host:port")
    if host.startswith("["):
        if not host.endswith("]"):
            raise _invalid(address, "has no port; write [host]:port")
        host = host[1:-1]
    elif ":" in host:
        raise _invalid(address, "is ambiguous; write an IPv6 address as [host]:port")
    if not host:
        raise _invalid(address, "has no host; write host:port")
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise _invalid(address, "has no port between 1 and 65535 after the colon")
    return host, port


def _resolve(host: str, port: str, family: socket.AddressFamily) -> str | None:
    """The first address of `family` the host has."""
    try:
        number = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4][0]
    except OSError:
        return None
    return f"[{number}]:{port}" if family == socket.AF_INET6 else f"{number}:{port}"
