"""What a call comes to: chunks while it runs, and the whole reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from varserve.errors import InternalError, InvalidArgumentError
from varserve.intervention import Intervention, from_proto
from varserve.report import ContrastReport, InterventionReport, Report
from varserve.v1 import inference_pb2 as pb
from varserve.var import Var

Explained = TypeVar("Explained", covariant=True)  # an Explanation, or an awaitable one


@dataclass(frozen=True)
class Alternative:
    """One of the most probable tokens at a place."""

    token_id: int
    logprob: float
    text: str


@dataclass(frozen=True)
class Token:
    """A generated token; its log-probability and alternatives if `logprobs` asked for them."""

    id: int
    logprob: float | None = None
    top: Sequence[Alternative] = ()


@dataclass(frozen=True)
class Chunk:
    """A piece of an answer: whole characters, and the tokens that they are made of."""

    text: str
    tokens: Sequence[Token]


@dataclass(frozen=True)
class ImageRegion:
    """The part of an image that its grid of visual tokens covers, as fractions of width and height, and the grid."""

    left: float
    top: float
    right: float
    bottom: float
    rows: int
    columns: int
    thumbnail_rows: int = 0  # of the second grid that an image of several tiles has
    thumbnail_columns: int = 0


@dataclass(frozen=True)
class Started:
    """What is known when a request begins to run."""

    request_id: str
    model: str
    prompt_tokens: int
    visual_tokens: int
    cached_tokens: int
    var: Var  # the effective setting; off with another intervention
    intervention: Var | Intervention | None  # the effective setting of any method; None: only a newer server knows it
    image_regions: Sequence[ImageRegion]


@dataclass(frozen=True)
class Usage:
    prompt_tokens: int
    visual_tokens: int
    cached_tokens: int
    generated_tokens: int
    sibling_tokens: int  # of a contrast's sibling: its prompt, and the answer's tokens


@dataclass(frozen=True)
class Timing:
    """Seconds, see Timing in inference.proto."""

    image_seconds: float
    queue_seconds: float
    prefill_seconds: float
    first_token_seconds: float
    total_seconds: float


@dataclass(frozen=True, eq=False)
class Reply(Generic[Explained]):
    """An answer. `report` is VAR's, and None with VAR off."""

    text: str
    finish_reason: str  # "stop", "stop_string" or "length"
    tokens: Sequence[Token]
    started: Started
    usage: Usage
    timing: Timing
    report: Report | None
    intervention_report: InterventionReport | None  # of PAI, VAF or SPIN
    contrast_report: ContrastReport | None  # of a contrast; None without a picture in the prompt
    text_truncated: bool
    _explain: Callable[[], Explained] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.text

    def explain(self) -> Explained:
        """What VAR did to this answer, asked from the server once more: the page of `varserve explain`, which a
        notebook shows."""
        if self._explain is None:
            raise InvalidArgumentError("explain: works for the answer to one question about one picture")
        return self._explain()


class ReplyBuilder(Generic[Explained]):
    """Makes a reply out of the messages of a stream."""

    def __init__(self, explain: Callable[[], Explained] | None = None) -> None:
        self._explain = explain
        self._tokens: list[Token] = []
        self._finished: pb.Finished | None = None
        self.started: Started | None = None

    def add(self, response: pb.GenerateResponse) -> Chunk | None:
        if response.HasField("started"):
            self.started = _started(response.started)
        elif response.HasField("finished"):
            self._finished = response.finished
        elif response.HasField("delta"):
            chunk = Chunk(response.delta.text, _tokens(response.delta))
            self._tokens.extend(chunk.tokens)
            return chunk
        return None

    def reply(self) -> Reply[Explained]:
        finished = self._finished
        if finished is None or self.started is None:
            raise InternalError("stream: the server ended it without a result")
        return Reply(
            text=finished.text,
            finish_reason=enum_name(pb.FinishReason, finished.finish_reason).removeprefix("FINISH_REASON_").lower(),
            tokens=tuple(self._tokens),
            started=self.started,
            usage=Usage(**_values(finished.usage)),
            timing=Timing(**_values(finished.timing)),
            report=Report.from_proto(finished.var_report) if finished.HasField("var_report") else None,
            intervention_report=InterventionReport.from_proto(finished.intervention_report)
            if finished.HasField("intervention_report")
            else None,
            contrast_report=ContrastReport(**_values(finished.contrast_report))
            if finished.HasField("contrast_report")
            else None,
            text_truncated=finished.text_truncated,
            _explain=self._explain,
        )


def enum_name(enum: Any, value: int) -> str:  # noqa: ANN401 (protobuf's enums have no common type)
    """The number of a value that only a newer server knows."""
    return str(enum.Name(value)) if value in enum.values() else str(value)


def _values(message: Any) -> dict[str, Any]:  # noqa: ANN401
    return {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}


def _started(message: pb.Started) -> Started:
    return Started(
        request_id=message.request_id,
        model=message.model,
        prompt_tokens=message.prompt_tokens,
        visual_tokens=message.visual_tokens,
        cached_tokens=message.cached_tokens,
        var=Var.from_proto(message.var),
        intervention=from_proto(message.intervention),
        image_regions=tuple(ImageRegion(**_values(one)) for one in message.image_regions),
    )


def _tokens(delta: pb.Delta) -> tuple[Token, ...]:
    if not delta.logprobs:
        return tuple(Token(token_id) for token_id in delta.token_ids)
    return tuple(
        Token(one.token_id, one.logprob, tuple(Alternative(t.token_id, t.logprob, t.text) for t in one.top))
        for one in delta.logprobs
    )
