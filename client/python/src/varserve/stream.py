"""Answers as they are made, for threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

import grpc

from varserve.attempts import Attempts, method
from varserve.channel import Connection
from varserve.errors import CancelledError
from varserve.kept_images import KeptImages
from varserve.reply import Chunk, Explained, Reply, ReplyBuilder, Started
from varserve.requests import Request

S = TypeVar("S", bound="_Cancellable")


class Responses:
    """The messages of one call, which is made, and made again, when they are read."""

    def __init__(
        self, channel: grpc.Channel, request: Request, connection: Connection, closed: threading.Event, kept: KeptImages
    ) -> None:
        self._make = method(channel, request.method)
        self._request = request
        self._connection = connection
        self._kept = kept
        self._closed = closed  # the client
        self._cancelled = threading.Event()
        self._call: Any = None
        self._messages = self._read()

    def __iter__(self) -> Iterator[Any]:
        return self._messages

    def cancel(self) -> None:
        """Ends the call, from any thread; who reads gets CancelledError."""
        self._cancelled.set()
        if (call := self._call) is not None:
            call.cancel()

    def _read(self) -> Iterator[Any]:
        attempts = Attempts(self._request, self._connection, self._kept)
        while not self._cancelled.is_set():
            try:
                yield from self._try(attempts)
                return
            except grpc.RpcError as error:
                wait = attempts.failed(error, self._cancelled.is_set() or self._closed.is_set())
            self._cancelled.wait(wait)
        raise CancelledError("the call was cancelled")

    def _try(self, attempts: Attempts) -> Iterator[Any]:
        arguments = {"timeout": attempts.timeout(), "metadata": attempts.metadata}
        if self._request.method == "GetModel":
            yield self._make(attempts.message, **arguments)
            return
        call = self._make(attempts.message, **arguments)
        self._call = call
        if self._cancelled.is_set():  # meanwhile
            call.cancel()
        try:
            for response in call:
                attempts.got(response)
                yield response
        finally:
            call.cancel()  # no effect once it has ended


class _Cancellable:
    def __init__(self, responses: Responses) -> None:
        self._responses = responses

    def cancel(self) -> None:
        """Ends the call, from any thread; who reads the stream gets CancelledError."""
        self._responses.cancel()

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()


class Stream(_Cancellable, Iterator[Chunk], Generic[Explained]):
    """An answer as it is made: an iterator of chunks. As a context manager it ends the call when it is left."""

    def __init__(self, responses: Responses, builder: ReplyBuilder[Explained]) -> None:
        super().__init__(responses)
        self._builder = builder

    @property
    def started(self) -> Started | None:
        """None before the first chunk."""
        return self._builder.started

    def __next__(self) -> Chunk:
        for response in self._responses:
            if (chunk := self._builder.add(response)) is not None:
                return chunk
        raise StopIteration

    def reply(self) -> Reply[Explained]:
        """Reads what is left; the whole reply."""
        for _ in self:
            pass
        return self._builder.reply()


class CompareStream(_Cancellable, Iterator[tuple[int, Chunk]], Generic[Explained]):
    """The answers of a comparison as they are made: pairs of a setting's index and a chunk."""

    def __init__(self, responses: Responses, builders: list[ReplyBuilder[Explained]]) -> None:
        super().__init__(responses)
        self._builders = builders

    def __next__(self) -> tuple[int, Chunk]:
        for response in self._responses:
            if (chunk := self._builders[response.setting].add(response.response)) is not None:
                return response.setting, chunk
        raise StopIteration

    def replies(self) -> list[Reply[Explained]]:
        """Reads what is left; one reply for each setting."""
        for _ in self:
            pass
        return [builder.reply() for builder in self._builders]
