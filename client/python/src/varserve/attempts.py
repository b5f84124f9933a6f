"""One call with its tries, up to the waiting: what the sync and the asyncio client have in common."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.message import Message

from varserve.channel import Connection
from varserve.errors import InvalidArgumentError, VarserveError, from_rpc
from varserve.kept_images import KeptImages, digests_of, naming
from varserve.requests import LONGEST_REQUEST, Request
from varserve.retry import retry_wait
from varserve.v1 import inference_pb2 as pb

_SERVICE = pb.DESCRIPTOR.services_by_name["VisionLanguage"]
_RESPONSES: dict[str, Any] = {
    "Answer": pb.GenerateResponse,
    "Caption": pb.GenerateResponse,
    "Generate": pb.GenerateResponse,
    "Compare": pb.CompareResponse,
    "GetModel": pb.Model,
}


def method(channel: Any, name: str) -> Any:  # noqa: ANN401 (of a sync or an asyncio channel)
    """The callable that makes the call, a stream or not."""
    make = channel.unary_unary if name == "GetModel" else channel.unary_stream
    return make(
        f"/{_SERVICE.full_name}/{name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=_RESPONSES[name].FromString,
    )


class Attempts:
    """What to send with each try, and what to do when it failed."""

    def __init__(self, request: Request, connection: Connection, kept: KeptImages) -> None:
        timeout = request.call.get("timeout")
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._max_retries = request.call.get("max_retries", 0)
        self._retries = 0
        self._heard = False  # a response came
        self._request = request
        self._connection = connection
        self._kept = kept
        self._digests = digests_of(request.message)
        self._named = kept.among(self._digests)
        self.message = naming(request.message, self._named) if self._named else request.message
        self.metadata = _metadata(request, connection.token)
        if request.message.ByteSize() > LONGEST_REQUEST:
            raise InvalidArgumentError(f"request: has {request.message.ByteSize()} bytes; the limit of gRPC is 2 GiB")

    def timeout(self) -> float | None:
        """Seconds that are left."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def got(self, response: Message) -> None:
        """Each response, as it comes."""
        self._heard = True
        event = response.response if isinstance(response, pb.CompareResponse) else response
        if isinstance(event, pb.GenerateResponse) and event.started.images_kept:
            self._kept.add(self._digests)

    def failed(self, error: grpc.RpcError, cancelled: bool = False) -> float:
        """Seconds to wait before the next try; raises if there is none."""
        if self._named and error.code() is grpc.StatusCode.NOT_FOUND:  # an image is not kept any more: send it
            self._kept.remove(self._named)
            self._named = set()
            self.message = self._request.message
            return 0.0
        failure = from_rpc(error, self._connection.hint, heard=self._heard, cancelled=cancelled)
        wait = None if self._heard or self._retries >= self._max_retries else self._wait(failure)
        if wait is None:
            raise failure from None
        self._retries += 1
        return wait

    def _wait(self, failure: VarserveError) -> float | None:
        wait = retry_wait(failure, self._retries, random.random())
        left = self.timeout()
        return None if wait is None or (left is not None and wait >= left) else wait


def _metadata(request: Request, token: str) -> Sequence[tuple[str, str]]:
    headers = {
        "authorization": ("token", f"Bearer {token}" if token else ""),
        "x-request-id": ("request_id", request.call.get("request_id", "")),
        "x-image-digest": ("image_digest", request.image_digest),
    }
    for option, value in headers.values():
        if not all(" " <= character <= "~" for character in value):
            raise InvalidArgumentError(f"{option}: only printable ASCII characters are allowed")
    return [(name, value) for name, (_, value) in headers.items() if value]
