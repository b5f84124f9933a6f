"""What interventions found and did in one request: the messages VarReport of proto/varserve/v1/var.proto, and
InterventionReport and ContrastReport of intervention.proto."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from varserve.intervention import Intervention, from_proto
from varserve.v1 import intervention_pb2, var_pb2
from varserve.var import Var

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LayerReport:
    """One decoder layer, means over the eligible rows and heads."""

    layer: int
    visual_sink_tokens: int
    text_sink_tokens: int
    image_centric_head_ratio: float
    redistributed_attention: float
    visual_attention_before: float
    visual_attention_after: float


@dataclass(frozen=True)
class VisualSink:
    """A visual token that is a sink in at least one layer."""

    image: int
    row: int
    column: int
    layers: int  # number of layers in which it is a sink
    max_phi: float
    in_thumbnail: bool = False  # row and column are those of the image's thumbnail


@dataclass(frozen=True)
class TokenReport:
    """One eligible token, means over layers and heads."""

    position: int  # in the sequence: prompt tokens first, then generated ones
    token_id: int
    text: str
    generated: bool
    image_centric_head_ratio: float
    redistributed_attention: float
    visual_attention_before: float
    visual_attention_after: float


@dataclass(frozen=True, eq=False)
class ImageMaps:
    """Attention of each token over the visual tokens of one image, mean over the map layers and all heads."""

    image: int
    positions: npt.NDArray[np.int64]  # [T]: the tokens, as in TokenReport
    before: npt.NDArray[np.float32]  # [T, rows, columns]
    after: npt.NDArray[np.float32]  # [T, rows, columns]
    # The same over the image's thumbnail, [T, thumbnail rows, thumbnail columns]; [T, 0, 0] without one.
    thumbnail_before: npt.NDArray[np.float32]
    thumbnail_after: npt.NDArray[np.float32]

    @property
    def change(self) -> npt.NDArray[np.float32]:
        """[T, rows, columns]: what VAR moved"""
        return self.after - self.before


@dataclass(frozen=True, eq=False)
class Report:
    """Means are over the eligible rows and over the layers of the effective setting; shares are in [0, 1]."""

    effective: Var
    eligible_rows: int
    visual_sink_tokens: float
    text_sink_tokens: float
    distinct_visual_sinks: int
    image_centric_head_ratio: float
    redistributed_attention: float
    visual_attention_before: float
    visual_attention_after: float
    layers: Sequence[LayerReport]
    visual_sinks: Sequence[VisualSink]
    tokens: Sequence[TokenReport]
    maps: Sequence[ImageMaps]  # one for each image, with detail "maps"
    maps_truncated: bool
    visual_sinks_truncated: bool
    tokens_truncated: bool

    @classmethod
    def from_proto(cls, message: var_pb2.VarReport) -> Report:
        values = {
            field.name: getattr(message, field.name)
            for field in dataclasses.fields(cls)
            if field.name not in ("effective", "layers", "visual_sinks", "tokens", "maps")
        }
        return cls(
            effective=Var.from_proto(message.effective),
            layers=_rows(LayerReport, message.layers),
            visual_sinks=_rows(VisualSink, message.visual_sinks),
            tokens=_rows(TokenReport, message.tokens),
            maps=_maps(message.maps),
            **values,
        )

    def layers_frame(self) -> pd.DataFrame:
        """One row for each decoder layer, by its number."""
        return _frame(LayerReport, self.layers, "layer")

    def visual_sinks_frame(self) -> pd.DataFrame:
        return _frame(VisualSink, self.visual_sinks)

    def tokens_frame(self) -> pd.DataFrame:
        """One row for each eligible token, by its position."""
        return _frame(TokenReport, self.tokens, "position")


@dataclass(frozen=True)
class LayerAttention:
    """One decoder layer, means over rows and heads."""

    layer: int
    changed_head_ratio: float
    visual_attention_before: float
    visual_attention_after: float


@dataclass(frozen=True)
class TokenAttention:
    """One token whose attention was changed, means over layers and heads."""

    position: int
    token_id: int
    text: str
    generated: bool
    changed_head_ratio: float
    visual_attention_before: float
    visual_attention_after: float


@dataclass(frozen=True, eq=False)
class InterventionReport:
    """Of PAI, VAF or SPIN. Means are over the rows that were changed and the layers of the effective setting."""

    effective: Var | Intervention | None  # None: only a newer server knows the method
    rows: int
    changed_head_ratio: float
    visual_attention_before: float
    visual_attention_after: float
    layers: Sequence[LayerAttention]
    tokens: Sequence[TokenAttention]
    maps: Sequence[ImageMaps]  # one for each image, with detail "maps"
    tokens_truncated: bool
    maps_truncated: bool

    @classmethod
    def from_proto(cls, message: intervention_pb2.InterventionReport) -> InterventionReport:
        return cls(
            effective=from_proto(message.effective),
            rows=message.rows,
            changed_head_ratio=message.changed_head_ratio,
            visual_attention_before=message.visual_attention_before,
            visual_attention_after=message.visual_attention_after,
            layers=_rows(LayerAttention, message.layers),
            tokens=_rows(TokenAttention, message.tokens),
            maps=_maps(message.maps),
            tokens_truncated=message.tokens_truncated,
            maps_truncated=message.maps_truncated,
        )

    def layers_frame(self) -> pd.DataFrame:
        """One row for each decoder layer, by its number."""
        return _frame(LayerAttention, self.layers, "layer")

    def tokens_frame(self) -> pd.DataFrame:
        """One row for each changed token, by its position."""
        return _frame(TokenAttention, self.tokens, "position")


@dataclass(frozen=True)
class ContrastReport:
    """Of VCD, ICD, M3ID, or PAI with gamma."""

    sibling_prompt_tokens: int
    sibling_cached_tokens: int  # that the sibling did not compute
    tokens: int  # of the answer
    contrasted_tokens: int  # chosen from other logits than the request's own
    changed_tokens: int  # for which the contrast changed which logit is the largest
    plausible_tokens: float  # of the vocabulary, mean over tokens


def _rows(kind: type[Any], messages: Iterable[Any]) -> tuple[Any, ...]:
    names = [field.name for field in dataclasses.fields(kind)]
    return tuple(kind(*(getattr(message, name) for name in names)) for message in messages)


def _maps(messages: Iterable[var_pb2.AttentionMap]) -> tuple[ImageMaps, ...]:
    by_image: dict[int, list[var_pb2.AttentionMap]] = {}
    for message in messages:
        by_image.setdefault(message.image, []).append(message)
    return tuple(
        ImageMaps(
            image,
            np.array([one.position for one in maps]),
            _grids([one.before for one in maps], maps[0].rows, maps[0].columns),
            _grids([one.after for one in maps], maps[0].rows, maps[0].columns),
            _grids([one.thumbnail_before for one in maps], maps[0].thumbnail_rows, maps[0].thumbnail_columns),
            _grids([one.thumbnail_after for one in maps], maps[0].thumbnail_rows, maps[0].thumbnail_columns),
        )
        for image, maps in sorted(by_image.items())
    )


def _grids(values: Sequence[Any], rows: int, columns: int) -> npt.NDArray[np.float32]:
    return np.array(values, np.float32).reshape(len(values), rows, columns)


def _frame(kind: type[Any], rows: Sequence[Any], index: str | None = None) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError:
        raise ImportError("a data frame needs pandas: pip install './client/python[pandas]' in the clone") from None
    columns = [field.name for field in dataclasses.fields(kind)]
    frame = pd.DataFrame([dataclasses.astuple(row) for row in rows], columns=columns)
    return frame.set_index(index) if index else frame
