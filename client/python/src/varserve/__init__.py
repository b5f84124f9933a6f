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
from varserve.intervention import AttentionIntervention, Contrast, Icd, Intervention, M3id, Pai, Spin, Vaf, Vcd
from varserve.model import Model
from varserve.reply import Alternative, Chunk, Reply, Started, Timing, Token, Usage
from varserve.report import (
    ContrastReport,
    ImageMaps,
    InterventionReport,
    LayerAttention,
    LayerReport,
    Report,
    TokenAttention,
    TokenReport,
    VisualSink,
)
from varserve.requests import Turn
from varserve.stream import CompareStream, Stream
from varserve.var import Var

__all__ = [
    "AbortedError",
    "Alternative",
    "AsyncClient",
    "AsyncCompareStream",
    "AsyncStream",
    "AttentionIntervention",
    "CancelledError",
    "Chunk",
    "Client",
    "CompareStream",
    "Contrast",
    "ContrastReport",
    "DeadlineExceededError",
    "Explanation",
    "FailedPreconditionError",
    "Icd",
    "ImageLike",
    "ImageMaps",
    "InternalError",
    "Intervention",
    "InterventionReport",
    "InvalidArgumentError",
    "LayerAttention",
    "LayerReport",
    "M3id",
    "Model",
    "NotFoundError",
    "Pai",
    "Reply",
    "Report",
    "ResourceExhaustedError",
    "Spin",
    "Started",
    "Stream",
    "Timing",
    "Tls",
    "Token",
    "TokenAttention",
    "TokenReport",
    "Turn",
    "UnauthenticatedError",
    "UnavailableError",
    "Usage",
    "Vaf",
    "Var",
    "VarserveError",
    "Vcd",
    "VisualSink",
]
