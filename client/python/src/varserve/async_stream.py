"""Answers as they are made, for asyncio. A task that is cancelled ends its call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Any, Generic, TypeVar

import grpc
import grpc.aio

from varserve.attempts import Attempts, method
from varserve.channel import Connection
from varserve.errors import CancelledError
from varserve.kept_images import KeptImages
from varserve.reply import Chunk, Explained, Reply, ReplyBuilder, Started
from varserve.requests import Request

S = TypeVar("S", bound="_Cancellable")


class AsyncResponses:
    """The messages of one call, which is made, and made again, when they are read."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        request: Request,
        connection: Connection,
        closed: asyncio.Event,
        kept: KeptImages,
    ) -> None:
        self._make = method(channel, request.method)
        self._request = request
        self._connection = connection
        self._kept = kept
        self._closed = closed  # the client
        self._cancelled = asyncio.Event()
        self._call: Any = None
        self._messages = self._read()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._messages

    def cancel(self) -> None:
        """Ends the call; who reads gets CancelledError."""
        self._cancelled.set()
        if self._call is not None:
            self._call.cancel()

    async def close(self) -> None:
        self.cancel()
        await self._messages.aclose()

    async def _read(self) -> AsyncGenerator[Any, None]:
        attempts = Attempts(self._request, self._connection, self._kept)
        while not self._cancelled.is_set():
            try:
                async for response in self._try(attempts):
                    yield response
                return
            except grpc.RpcError as error:
                wait = attempts.failed(error)
            except asyncio.CancelledError:
                if not (self._cancelled.is_set() or self._closed.is_set()):  # the task was cancelled
                    raise
                break
            await self._pause(wait)
        raise CancelledError("the call was cancelled")

    async def _try(self, attempts: Attempts) -> AsyncIterator[Any]:
        call = self._make(attempts.message, timeout=attempts.timeout(), metadata=attempts.metadata)
        self._call = call
        try:
            if self._request.method == "GetModel":
                yield await call
                return
            async for response in call:
                attempts.got(response)
                yield response
        finally:
            call.cancel()  # no effect once it has ended

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._cancelled.wait(), seconds)


class _Cancellable:
    def __init__(self, responses: AsyncResponses) -> None:
        self._responses = responses

    def cancel(self) -> None:
        """Ends the call; who reads the stream gets CancelledError."""
        self._responses.cancel()

    async def __aenter__(self: S) -> S:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._responses.close()


class AsyncStream(_Cancellable, AsyncIterator[Chunk], Generic[Explained]):
    """An answer as it is made. As a context manager it ends the call when it is left."""

    def __init__(self, responses: AsyncResponses, builder: ReplyBuilder[Explained]) -> None:
        super().__init__(responses)
        self._builder = builder

    @property
    def started(self) -> Started | None:
        """None before the first chunk."""
        return self._builder.started

    async def __anext__(self) -> Chunk:
        async for response in self._responses:
            if (chunk := self._builder.add(response)) is not None:
                return chunk
        raise StopAsyncIteration

    async def reply(self) -> Reply[Explained]:
        """Reads what is left; the whole reply."""
        async for _ in self:
            pass
        return self._builder.reply()


class AsyncCompareStream(_Cancellable, AsyncIterator[tuple[int, Chunk]], Generic[Explained]):
    """The answers of a comparison as they are made: pairs of a setting's index and a chunk."""

    def __init__(self, responses: AsyncResponses, builders: list[ReplyBuilder[Explained]]) -> None:
        super().__init__(responses)
        self._builders = builders

    async def __anext__(self) -> tuple[int, Chunk]:
        async for response in self._responses:
            if (chunk := self._builders[response.setting].add(response.response)) is not None:
                return response.setting, chunk
        raise StopAsyncIteration

    async def replies(self) -> list[Reply[Explained]]:
        """Reads what is left; one reply for each setting."""
        async for _ in self:
            pass
        return [builder.reply() for builder in self._builders]
