"""Why no connection was made, in words that say what to do: those of client/cli/connection_hint.cc."""

from __future__ import annotations

_HINTS = (  # with TLS, a part of gRPC's message, what follows "the server at ADDRESS"
    (True, "WRONG_VERSION_NUMBER", "may not use TLS; try without tls"),
    (
        True,
        "CERTIFICATE_VERIFY_FAILED",
        "has a certificate that is not trusted; name the authority that signed it: tls.ca",
    ),
    (True, "Hostname Verification Check failed", "has a certificate for another name; give that name: tls.server_name"),
    (True, "Socket closed", "may require a client certificate; give one: tls.cert and tls.key"),
    (False, "Socket closed", "may use TLS; give tls, with tls.ca for a private authority"),
    (False, "http1.x server", "speaks HTTP/1.1; name its gRPC port, 50051 by default"),
    (False, "Connection refused", "is not running; start it, or name another address"),
    (True, "Connection refused", "is not running; start it, or name another address"),
)


def connection_hint(message: str, address: str, *, tls: bool) -> str:
    """Of an UNAVAILABLE call; empty for errors of the server itself, and for what is not known."""
    if "last error: " not in message:  # gRPC's words for a connection that was never made
        return ""
    for with_tls, part, hint in _HINTS:
        if with_tls == tls and part in message:
            return f"the server at {address} {hint}"
    return ""
