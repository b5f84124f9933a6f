"""The client for threads."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from varserve import requests
from varserve.channel import Connection, Tls
from varserve.explain.explanation import Explanation, explain_steps
from varserve.generation import CallOptions
from varserve.images import ImageLike
from varserve.intervention import Intervention
from varserve.kept_images import KeptImages
from varserve.model import Model
from varserve.reply import Reply, ReplyBuilder
from varserve.requests import Images, Length, PictureQuestion, Request, Turn
from varserve.stream import CompareStream, Responses, Stream
from varserve.var import Var

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from varserve.generation import Options


class Client:
    """Calls of a VARServe server over one connection; any number of threads may use it. An image is a path, the bytes
    of a file, a PIL image or a numpy array; `images` is one or a list. Keyword arguments of every call are the fields
    of GenerateOptions (max_tokens, temperature, seed, stop, logprobs, ...), `timeout` in seconds, `request_id` and
    `max_retries`; `timeout` and `max_retries` given here hold for calls without their own. `intervention` is another
    method than VAR: Pai, Vaf or Spin instead of `var`, or a contrast, Vcd, Icd or M3id, alone or combined
    with it. Errors are VarserveError.

        with Client("localhost:50051") as client:
            print(client.ask("picture.jpg", "Is there a dog?", var=Var.on(preset="hallucination")))
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
        self._channel = self._connection.open()
        self._closed = threading.Event()
        self._kept = KeptImages()
        self._defaults: CallOptions = {"max_retries": max_retries}
        if timeout is not None:
            self._defaults["timeout"] = timeout

    def close(self) -> None:
        """Ends the connection, and calls that still run: they get CancelledError."""
        self._closed.set()
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(
        self,
        images: Images,
        question: str,
        *,
        var: Var | None = None,
        intervention: Intervention | None = None,
        **options: Unpack[Options],
    ) -> Reply[Explanation]:
        """Answers a question about one or more pictures."""
        return self.ask_stream(images, question, var=var, intervention=intervention, **options).reply()

    def ask_stream(
        self,
        images: Images,
        question: str,
        *,
        var: Var | None = None,
        intervention: Intervention | None = None,
        **options: Unpack[Options],
    ) -> Stream[Explanation]:
        """The same, as it is made."""
        return self._stream(
            requests.ask(images, question, requests.setting(var, intervention), options, self._defaults)
        )

    def caption(
        self,
        image: ImageLike,
        length: Length = "medium",
        *,
        var: Var | None = None,
        intervention: Intervention | None = None,
        **options: Unpack[Options],
    ) -> Reply[Explanation]:
        """Describes a picture."""
        return self.caption_stream(image, length, var=var, intervention=intervention, **options).reply()

    def caption_stream(
        self,
        image: ImageLike,
        length: Length = "medium",
        *,
        var: Var | None = None,
        intervention: Intervention | None = None,
        **options: Unpack[Options],
    ) -> Stream[Explanation]:
        """The same, as it is made."""
        return self._stream(
            requests.caption(image, length, requests.setting(var, intervention), options, self._defaults)
        )

    def chat(
        self,
        turns: Sequence[Turn],
        *,
        var: Var | None = None,
        intervention: Intervention | None = None,
        **options: Unpack[Options],
    ) -> Reply[Explanation]:
        """Answers the last message of a conversation, see Turn."""
        return self.chat_stream(turns, var=var, intervention=intervention, **options).reply()

    def chat_stream(
        self,
        turns: Sequence[Turn],
        *,
        var: Var | None = None,
        intervention: Intervention | None = None,
        **options: Unpack[Options],
    ) -> Stream[Explanation]:
        """The same, as it is made."""
        return self._stream(requests.chat(turns, requests.setting(var, intervention), options, self._defaults))

    def compare(
        self, images: Images, question: str, settings: Sequence[Var | Intervention], **options: Unpack[Options]
    ) -> list[Reply[Explanation]]:
        """Answers a question under several settings at once: the picture is computed once. One reply for each."""
        return self.compare_stream(images, question, settings, **options).replies()

    def compare_stream(
        self, images: Images, question: str, settings: Sequence[Var | Intervention], **options: Unpack[Options]
    ) -> CompareStream[Explanation]:
        """The same, as they are made."""
        return self.compare_chat_stream(requests.question_turn(images, question), settings, **options)

    def compare_chat(
        self, turns: Sequence[Turn], settings: Sequence[Var | Intervention], **options: Unpack[Options]
    ) -> list[Reply[Explanation]]:
        """Answers the last message of a conversation under several settings at once."""
        return self.compare_chat_stream(turns, settings, **options).replies()

    def compare_chat_stream(
        self, turns: Sequence[Turn], settings: Sequence[Var | Intervention], **options: Unpack[Options]
    ) -> CompareStream[Explanation]:
        """The same, as they are made."""
        request = requests.compare(turns, settings, options, self._defaults)
        builders: list[ReplyBuilder[Explanation]] = [ReplyBuilder() for _ in settings]
        return CompareStream(self._responses(request), builders)

    def model(self, **options: Unpack[CallOptions]) -> Model:
        """The server's model, its limits, VAR profile and defaults."""
        [message] = self._responses(requests.model(options, self._defaults))
        return Model.from_proto(message)

    def explain(
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
        return self._explain(requests.picture_question(image, question, setting, options, self._defaults))

    def _explain(self, question: PictureQuestion) -> Explanation:
        steps = explain_steps(question)
        request = next(steps)
        while True:
            responses = list(self._responses(request))
            try:
                request = steps.send(responses)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]

    def _stream(self, request: Request) -> Stream[Explanation]:
        question = requests.explainable(request)
        explain = None if question is None else functools.partial(self._explain, question)
        return Stream(self._responses(request), ReplyBuilder(explain))

    def _responses(self, request: Request) -> Responses:
        if self._closed.is_set():
            raise ValueError("the client is closed")
        return Responses(self._channel, request, self._connection, self._closed, self._kept)
