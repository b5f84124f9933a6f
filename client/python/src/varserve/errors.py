"""How calls fail: one exception for each code of gRPC that the server uses, with the field it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2


class VarserveError(Exception):
    """A call that failed. `code` is gRPC's name of the reason, `field` the request's field that the message begins
    with, and `retry_delay` the seconds after which the server takes the request, if it said so."""

    code = "UNKNOWN"

    def __init__(self, message: str, *, code: str | None = None, retry_delay: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.retry_delay = retry_delay
        self.field = _field(message) if self.code in _CODES_WITH_FIELDS else None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class InvalidArgumentError(VarserveError, ValueError):
    """A field or an image is invalid; nothing was computed."""

    code = "INVALID_ARGUMENT"


class NotFoundError(VarserveError):
    """The server does not have an image that was named by its digest."""

    code = "NOT_FOUND"


class FailedPreconditionError(VarserveError):
    """The model cannot do this, such as VAR without a profile."""

    code = "FAILED_PRECONDITION"


class ResourceExhaustedError(VarserveError):
    """The server is full. Without a `retry_delay` the request fits at no time."""

    code = "RESOURCE_EXHAUSTED"


class DeadlineExceededError(VarserveError, TimeoutError):
    """The call's timeout passed."""

    code = "DEADLINE_EXCEEDED"


class UnauthenticatedError(VarserveError):
    """The bearer token is missing or wrong."""

    code = "UNAUTHENTICATED"


class UnavailableError(VarserveError, ConnectionError):
    """No server answers, or it is starting or draining."""

    code = "UNAVAILABLE"


class AbortedError(VarserveError):
    """The server or a proxy cancelled the call."""

    code = "ABORTED"


class CancelledError(VarserveError):
    """This program cancelled the call."""

    code = "CANCELLED"


class InternalError(VarserveError):
    """The server failed; only this request is affected."""

    code = "INTERNAL"


_CODES_WITH_FIELDS = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"}
_ERRORS: Mapping[str, type[VarserveError]] = {
    error.code: error
    for error in (
        InvalidArgumentError,
        NotFoundError,
        FailedPreconditionError,
        ResourceExhaustedError,
        DeadlineExceededError,
        UnauthenticatedError,
        UnavailableError,
        AbortedError,
        CancelledError,
        InternalError,
    )
}
_RESET = "a proxy between the client and the server reset the call: "
_SERVER_CANCELLED = "the server cancelled the call: "
_UNREAD = "the server cancelled the call during the answer, as it does when nobody reads for its --write_timeout: "


def from_rpc(
    error: grpc.RpcError, hint: Callable[[str], str], *, heard: bool, cancelled: bool = False
) -> VarserveError:
    """`hint`: why no connection was made, of gRPC's message, or nothing. `heard`: a response came before. `cancelled`:
    this program ended the call."""
    code, message = error.code().name, error.details() or ""
    if code == "CANCELLED" and cancelled:
        return CancelledError("the call was cancelled")
    if code == "CANCELLED":
        return AbortedError((_UNREAD if heard else _SERVER_CANCELLED) + message)
    # The server ends every call with a status; only a proxy that lost it, or has no memory left, resets one.
    if code in ("INTERNAL", "RESOURCE_EXHAUSTED") and "RST_STREAM" in message:
        return UnavailableError(_RESET + message)
    if code == "UNAVAILABLE" and (why := hint(message)):
        message = f"{why} ({message})"
    return _ERRORS.get(code, VarserveError)(message, code=code, retry_delay=_retry_delay(error.trailing_metadata()))


def _field(message: str) -> str | None:
    """Such as "settings[1].rho" of "settings[1].rho: must be in [0, 1]"."""
    found = re.match(r"([A-Za-z_][\w.\[\]]*): ", message)
    return found[1] if found else None


def _retry_delay(trailers: Any) -> float | None:  # noqa: ANN401 (of a sync or an asyncio call)
    details = dict(trailers or ()).get("grpc-status-details-bin")
    if not isinstance(details, bytes):
        return None
    info = error_details_pb2.RetryInfo()
    for detail in status_pb2.Status.FromString(details).details:
        if detail.Unpack(info):
            return max(float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9), 0.0)
    return None
