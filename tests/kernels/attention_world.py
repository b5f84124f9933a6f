"""A paged KV pool with sequences and rows for the attention kernels, and the slow reference: docs/var.md,
"Redistribution", and docs/interventions.md, row by row and head by head in float64. Slots that hold no token contain
NaN."""

import dataclasses
import enum

import numpy as np

from device_array import DeviceArray, rounded

BLOCK_SIZE = 16


class Change(enum.IntEnum):
    """interventions::RowChange"""

    REDISTRIBUTE = 0
    REWEIGH = 1
    SUPPRESS_HEADS = 2


@dataclasses.dataclass
class Row:
    sequence: int
    num_slots: int
    sink_slots: int
    change: Change = Change.REDISTRIBUTE
    first_layer: int = 0
    last_layer: int = 3
    authors_code: bool = False
    tau: float = 20.0
    rho: float = 0.5
    p: float = 0.6
    min_visual_attention: float = 0.0
    text_slots: int = 0
    visual_scale: float = 1.0
    visual_boost: float = 0.0
    text_scale: float = 1.0
    kept_heads: int = 0
    suppressed_gain: float = 1.0

    def changes(self, kind: Change, layer: int) -> bool:
        return self.change == kind and self.first_layer <= layer <= self.last_layer


@dataclasses.dataclass
class Shape:
    heads: int
    kv_heads: int
    head_size: int
    dtype: str

    @property
    def padded_head_size(self) -> int:
        return 64 if self.head_size <= 64 else 128

    @property
    def group(self) -> int:
        return self.heads // self.kv_heads


class AttentionWorld:
    """lengths: slots of each sequence. Every sequence has text, a picture and text; `sinks` is the share of its tokens
    that are sinks by each plane of phi. Of a sequence in `with_empty`, some slots after the picture hold no token."""

    def __init__(
        self, shape: Shape, lengths: list[int], *, sinks: float = 0.2, with_empty: tuple[int, ...] = (), seed: int = 0
    ) -> None:
        random = np.random.default_rng(seed)
        self.shape = shape
        self.lengths = lengths
        self.max_blocks = -(-max(lengths) // BLOCK_SIZE)
        num_blocks = self.max_blocks * len(lengths) + 2
        self.blocks = random.permutation(num_blocks)[: self.max_blocks * len(lengths)].reshape(len(lengths), -1)
        pool = (num_blocks, shape.kv_heads, BLOCK_SIZE, shape.head_size)
        self.k = rounded(random.normal(size=pool), shape.dtype)
        self.v = rounded(random.normal(size=pool), shape.dtype)
        self.phi = np.where(random.random((2, num_blocks * BLOCK_SIZE)) < sinks, 40.0, 3.0).astype(np.float32)
        self.visual = np.zeros((len(lengths), self.max_blocks * BLOCK_SIZE), np.int8)
        self.empty = np.zeros((len(lengths), 2), np.int32)
        for s, length in enumerate(lengths):
            self.visual[s, 3 : max(3, length * 2 // 3)] = 1
            if s in with_empty:
                self.empty[s] = (length * 2 // 3, length * 2 // 3 + 5)
            self._forget_empty(s)
        unused = np.setdiff1d(np.arange(num_blocks), self.blocks)
        self.k[unused] = self.v[unused] = np.nan

    def _forget_empty(self, sequence: int) -> None:
        for slot in range(self.max_blocks * BLOCK_SIZE):
            if slot >= self.lengths[sequence] or self.empty[sequence, 0] <= slot < self.empty[sequence, 1]:
                block, offset = self.blocks[sequence, slot // BLOCK_SIZE], slot % BLOCK_SIZE
                self.k[block, :, offset] = self.v[block, :, offset] = np.nan

    def queries(self, rows: int, seed: int = 1) -> np.ndarray:
        shape = (rows, self.shape.heads, self.shape.head_size)
        return rounded(np.random.default_rng(seed).normal(size=shape), self.shape.dtype)

    def device(self, values: np.ndarray) -> DeviceArray:
        """In the type of the pool."""
        return DeviceArray(values, self.shape.dtype)

    def slots_of(self, sequence: int, num_slots: int) -> list[int]:
        begin, end = self.empty[sequence]
        return [slot for slot in range(num_slots) if not begin <= slot < end]

    def keys_and_values(self, sequence: int, slots: list[int], head: int) -> tuple[np.ndarray, np.ndarray]:
        kv_head = head // self.shape.group
        at = [(self.blocks[sequence, slot // BLOCK_SIZE], kv_head, slot % BLOCK_SIZE) for slot in slots]
        return np.array([self.k[a] for a in at]), np.array([self.v[a] for a in at])

    def scores(self, row: Row, head: int, query: np.ndarray) -> tuple[list[int], np.ndarray, np.ndarray]:
        """The slots of a row, scores of one head on them, and their values."""
        slots = self.slots_of(row.sequence, row.num_slots)
        keys, values = self.keys_and_values(row.sequence, slots, head)
        return slots, keys @ query / np.sqrt(self.shape.head_size), values

    def reference(self, rows: list[Row], queries: np.ndarray, layer: int) -> "Result":
        result = Result(
            np.zeros_like(queries),
            np.zeros((len(rows), self.shape.kv_heads, 4)),
            np.zeros((len(rows), self.shape.kv_heads, 2, self.max_blocks * BLOCK_SIZE)),
        )
        for r, row in enumerate(rows):
            gains = self._gains(row, queries[r], layer)
            for head in range(self.shape.heads):
                kv_head = head // self.shape.group
                slots, scores, values = self.scores(row, head, queries[r, head])
                before = softmax(scores)
                after, sums = self._change(row, slots, scores, gains[head], layer)
                result.out[r, head] = gains[head] * (after @ values)
                result.sums[r, kv_head] += sums
                result.maps[r, kv_head, 0, slots] += before
                result.maps[r, kv_head, 1, slots] += after
        return result

    def looks(self, row: Row, queries: np.ndarray) -> np.ndarray:
        """Sums of each head's scores on visual tokens. queries: [H, D] => [H]"""
        looks = []
        for head, query in enumerate(queries):
            slots, scores, _ = self.scores(row, head, query)
            looks.append(scores[self.visual[row.sequence, slots] == 1].sum())
        return np.array(looks)

    def _gains(self, row: Row, queries: np.ndarray, layer: int) -> np.ndarray:
        """By which the outputs of heads are multiplied. => [H]"""
        gains = np.ones(self.shape.heads)
        if row.changes(Change.SUPPRESS_HEADS, layer):
            gains[np.argsort(-self.looks(row, queries), kind="stable")[row.kept_heads :]] = row.suppressed_gain
        return gains

    def _change(
        self, row: Row, slots: list[int], scores: np.ndarray, gain: float, layer: int
    ) -> tuple[np.ndarray, tuple[float, float, float, float]]:
        """Attention of one head after the change, and its part of the sums."""
        before = softmax(scores)
        visual = self.visual[row.sequence, slots] == 1
        m_v = before[visual].sum()
        if row.changes(Change.REWEIGH, layer):
            text = (np.array(slots) < row.text_slots) & ~visual
            changed = np.where(text, row.text_scale * scores, scores)
            changed[visual] = row.visual_scale * scores[visual] + row.visual_boost * np.abs(scores[visual])
            after = softmax(changed)
            return after, (1.0, 0.0, m_v, after[visual].sum())
        if row.changes(Change.SUPPRESS_HEADS, layer):
            return before, (float(gain == row.suppressed_gain), 0.0, m_v, gain * m_v)
        return self._redistribute(row, slots, before, layer)

    def _redistribute(
        self, row: Row, slots: list[int], before: np.ndarray, layer: int
    ) -> tuple[np.ndarray, tuple[float, float, float, float]]:
        if not row.changes(Change.REDISTRIBUTE, layer):
            return before, (0.0, 0.0, 0.0, 0.0)
        at = [self.blocks[row.sequence, slot // BLOCK_SIZE] * BLOCK_SIZE + slot % BLOCK_SIZE for slot in slots]
        sink = (self.phi[int(row.authors_code), at] >= row.tau) & (np.array(slots) < row.sink_slots)
        visual = self.visual[row.sequence, slots] == 1
        m_vs, m_vn, m_ts = before[visual & sink].sum(), before[visual & ~sink].sum(), before[sink & ~visual].sum()
        m_v = m_vs + m_vn
        if row.authors_code:
            passes = m_vs / (m_v + visual.sum() * 1e-6) <= 1 - row.rho if (visual & sink).any() else False
        else:
            passes = m_v > 0 and m_vn / m_v >= row.rho
        if not (passes and m_v >= row.min_visual_attention and m_vn > 0):
            return before, (0.0, 0.0, m_v, m_v)
        omega = row.p * (m_vs + m_ts)
        after = before.copy()
        after[sink] *= 1 - row.p
        after[visual & ~sink] *= 1 + omega / m_vn
        return after, (1.0, omega, m_v, after[visual].sum())


@dataclasses.dataclass
class Result:
    out: np.ndarray  # [R, H, D]
    sums: np.ndarray  # [R, Hkv, 4]
    maps: np.ndarray  # [R, Hkv, 2, slots]: attention before and after, summed over the group's heads


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()
