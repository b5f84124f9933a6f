"""The client for asyncio: the same methods as Client, to be awaited."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import grpc.aio

from varserve import requests
from varserve.async_stream import AsyncCompareStream, AsyncResponses, AsyncStream
from varserve.channel import Connection, Tls
from varserve.explain.explanation import Explanation, explain_steps
from varserve.generation import CallOptions
from varserve.images import ImageLike
from varserve.intervention import Intervention
from varserve.kept_images import KeptImages
from varserve.model import Model
from varserve.reply import Reply, ReplyBuilder
from varserve.requests import Images, Length, PictureQuestion, Request, Turn
from varserve.var import Var

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from varserve.generation import Options

Explaining = Awaitable[Explanation]


class AsyncClient:
    """Calls of a VARServe server over one connection, for the tasks of one event loop; see Client for the arguments.

    async with AsyncClient("localhost:50051") as client:
        print(await client.ask("picture.jpg", "Is there a dog?", var=Var.on(preset="hallucination")))
    """

    def __init__(
        self,
        address: str = "localhost:50051",
        *,
        tls: Tls | None = None,
        token: str = "",
        timeout: float | None = None,
        max_retries: int = 0,
    ) -> None:
        self._connection = Connection(address, tls, token)
        self._channel: grpc.aio.Channel | None = None  # opened by the first call, which knows the event loop
        self._closed = asyncio.Event()
        self._kept = KeptImages()
        self._defaults: CallOptions = {"max_retries": max_retries}
        if timeout is not None:
            self._defaults["timeout"] = timeout

    async def close(self) -> None:
        """Ends the connection, and calls that still run: they get CancelledError."""
        self._closed.set()
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def ask(
        self,
        images: Images,
        question: str,
        *,
        var: Var | None = None,
        intervention: Intervention | None = None,
        **options: Unpack[Options],
    ) -> Reply[Explaining]:
        """Answers a question about one or more pictures."""
        return await self.ask_stream(images, question, var=var, intervention=intervention, **options).reply()

    def ask_stream(
        self,
        images: Images,
        question: str,
        *,
        var: Var | None = None,
        intervention: Intervention | None = None,
        **options: Unpack[Options],
    ) -> AsyncStream[Explaining]:
        """The same, as it is made."""
        return self._stream(
            requests.ask(images, question, requests.setting(var, intervention), options, self._defaults)
        )

    async def caption(
        self,
        image: ImageLike,
        length: Length = "medium",
        *,
        var: Var | None = None,
        intervention: Intervention | None = None,
        **options: Unpack[Options],
    ) -> Reply[Explaining]:
        """Describes a picture."""
        return await self.caption_stream(image, length, var=var, intervention=intervention, **options).reply()

    def caption_stream(
        self,
        image: ImageLike,
        length: Length = "medium",
        *,
        var: Var | None = None,
        intervention: Intervention | None = None,
        **options: Unpack[Options],
    ) -> AsyncStream[Explaining]:
        """The same, as it is made."""
        return self._stream(
            requests.caption(image, length, requests.setting(var, intervention), options, self._defaults)
        )

    async def chat(
        self,
        turns: Sequence[Turn],
        *,
        var: Var | None = None,
        intervention: Intervention | None = None,
        **options: Unpack[Options],
    ) -> Reply[Explaining]:
        """Answers the last message of a conversation, see Turn."""
        return await self.chat_stream(turns, var=var, intervention=intervention, **options).reply()

    def chat_stream(
        self,
        turns: Sequence[Turn],
        *,
        var: Var | None = None,
        intervention: Intervention | None = None,
        **options: Unpack[Options],
    ) -> AsyncStream[Explaining]:
        """The same, as it is made."""
        return self._stream(requests.chat(turns, requests.setting(var, intervention), options, self._defaults))

    async def compare(
        self, images: Images, question: str, settings: Sequence[Var | Intervention], **options: Unpack[Options]
    ) -> list[Reply[Explaining]]:
        """Answers a question under several settings at once: the picture is computed once. One reply for each."""
        return await self.compare_stream(images, question, settings, **options).replies()

    def compare_stream(
        self, images: Images, question: str, settings: Sequence[Var | Intervention], **options: Unpack[Options]
    ) -> AsyncCompareStream[Explaining]:
        """The same, as they are made."""
        return self.compare_chat_stream(requests.question_turn(images, question), settings, **options)

    async def compare_chat(
        self, turns: Sequence[Turn], settings: Sequence[Var | Intervention], **options: Unpack[Options]
    ) -> list[Reply[Explaining]]:
        """Answers the last message of a conversation under several settings at once."""
        return await self.compare_chat_stream(turns, settings, **options).replies()

    def compare_chat_stream(
        self, turns: Sequence[Turn], settings: Sequence[Var | Intervention], **options: Unpack[Options]
    ) -> AsyncCompareStream[Explaining]:
        """The same, as they are made."""
        request = requests.compare(turns, settings, options, self._defaults)
        builders: list[ReplyBuilder[Explaining]] = [ReplyBuilder() for _ in settings]
        return AsyncCompareStream(self._responses(request), builders)

    async def model(self, **options: Unpack[CallOptions]) -> Model:
        """The server's model, its limits, VAR profile and defaults."""
        [message] = [one async for one in self._responses(requests.model(options, self._defaults))]
        return Model.from_proto(message)

    async def explain(
        self,
        image: ImageLike,
        question: str,
        *,
        var: Var | None = None,
        intervention: Intervention | None = None,
        **options: Unpack[Options],
    ) -> Explanation:
        """What VAR, or another intervention, does to the answer to a question about a picture; a notebook shows it."""
        setting = requests.setting(var, intervention)
        return await self._explain(requests.picture_question(image, question, setting, options, self._defaults))

    async def _explain(self, question: PictureQuestion) -> Explanation:
        steps = explain_steps(question)
        request = next(steps)
        while True:
            responses = [one async for one in self._responses(request)]
            try:
                request = steps.send(responses)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]

    def _stream(self, request: Request) -> AsyncStream[Explaining]:
        question = requests.explainable(request)
        explain = None if question is None else functools.partial(self._explain, question)
        return AsyncStream(self._responses(request), ReplyBuilder(explain))

    def _responses(self, request: Request) -> AsyncResponses:
        if self._closed.is_set():
            raise ValueError("the client is closed")
        if self._channel is None:
            self._channel = self._connection.open_async()
        return AsyncResponses(self._channel, request, self._connection, self._closed, self._kept)
