"""Client of VARServe: ask a large multimodal model about pictures, with Visual Attention Redistribution by request."""

from varserve.async_client import AsyncClient
from varserve.async_stream import AsyncCompareStream, AsyncStream
from varserve.channel import Tls
from varserve.client import Client
from varserve.errors import (
    AbortedError,
    CancelledError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    VarserveError,
)
from varserve.explain.explanation import Explanation
from varserve.images import ImageLike
from varserve.model import Model
from varserve.reply import Alternative, Chunk, Reply, Started, Timing, Token, Usage
from varserve.report import ImageMaps, LayerReport, Report, TokenReport, VisualSink
from varserve.requests import Turn
from varserve.stream import CompareStream, Stream
from varserve.var import Var

__all__ = [
    "AbortedError",
    "Alternative",
    "AsyncClient",
    "AsyncCompareStream",
    "AsyncStream",
    "CancelledError",
    "Chunk",
    "Client",
    "CompareStream",
    "DeadlineExceededError",
    "Explanation",
    "FailedPreconditionError",
    "ImageLike",
    "ImageMaps",
    "InternalError",
    "InvalidArgumentError",
    "LayerReport",
    "Model",
    "NotFoundError",
    "Reply",
    "Report",
    "ResourceExhaustedError",
    "Started",
    "Stream",
    "Timing",
    "Tls",
    "Token",
    "TokenReport",
    "Turn",
    "UnauthenticatedError",
    "UnavailableError",
    "Usage",
    "Var",
    "VarserveError",
    "VisualSink",
]
