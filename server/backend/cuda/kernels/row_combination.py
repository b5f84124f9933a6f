"""Puts together what `attend_rows` (row_attention.py) found in the splits of a row. Letters and tables are as there."""

import triton
import triton.language as tl

from paged_pool import NO_SCORE
from row_changes import (
    FACTORS,
    FLOATS,
    INTS,
    REDISTRIBUTE,
    REWEIGH,
    STATS,
    SUPPRESS_HEADS,
    combine_before,
    is_changed,
    is_suppressed,
)


@triton.jit
def combine_rows(
    partial,  # from attend_rows
    stats,
    row_ints,
    row_floats,
    out,  # [R, H, D], rows out_stride apart
    sums,  # [R, Hkv, 4] float32, out: interventions::RowSums of the layer
    factors,  # [R, H, 6] float32, out, for attend_maps: maximum score and 1 / sum, the same before, factor of sinks, of
    # visual tokens
    out_stride,
    heads,
    kv_heads,
    head_size,
    layer,
    BD: tl.constexpr,
    GP: tl.constexpr,  # G rounded up to a power of two
    SP: tl.constexpr,  # splits that are added up at a time
):
    """Adds up a row's splits, decides its image-centric heads, and redistributes. Grid: (R, Hkv)"""
    row = tl.program_id(0)
    kv_head = tl.program_id(1)
    group = heads // kv_heads
    lane = tl.arange(0, GP)
    lane_ok = lane < group
    head = kv_head * group + lane
    d = tl.arange(0, BD)
    lanes_and_d = lane_ok[:, None] & (d < head_size)[None, :]
    of_row = row_ints + row * INTS
    settings = row_floats + row * FLOATS
    splits = tl.cdiv(tl.load(of_row + 1), tl.load(of_row + 6))
    first_split = tl.load(of_row + 7)

    # Before the accumulators, whose registers it needs.
    suppressed = tl.zeros([GP], tl.int1)
    if is_changed(row_ints, row, SUPPRESS_HEADS, layer):
        suppressed = is_suppressed(stats, first_split, splits, head, lane_ok, heads, tl.load(of_row + 10))
    head_gain = tl.where(suppressed, tl.load(settings + 7), 1.0)
    reweighs = is_changed(row_ints, row, REWEIGH, layer)
    top_before = tl.zeros([GP], tl.float32)
    total_before = tl.full([GP], 1.0, tl.float32)
    visual_before = tl.zeros([GP], tl.float32)
    if reweighs:
        top_before, total_before, visual_before = combine_before(stats, first_split, splits, head, lane_ok, heads, SP)

    # Of every SP-th split, [SP, GP], and its accumulators, [SP, GP, BD].
    split_tops = tl.full([SP, GP], NO_SCORE, tl.float32)
    split_vs = tl.zeros([SP, GP], tl.float32)
    split_ts = tl.zeros([SP, GP], tl.float32)
    split_vn = tl.zeros([SP, GP], tl.float32)
    split_rest = tl.zeros([SP, GP], tl.float32)
    split_visual = tl.zeros([SP, GP], tl.float32)
    split_visual_sinks = tl.zeros([SP, GP], tl.float32)
    on_sinks = tl.zeros([SP, GP, BD], tl.float32)
    on_visual = tl.zeros([SP, GP, BD], tl.float32)
    on_rest = tl.zeros([SP, GP, BD], tl.float32)
    for start in range(0, splits, SP):
        split = start + tl.arange(0, SP)
        ok = (split < splits)[:, None] & lane_ok[None, :]
        at = (first_split + split).to(tl.int64)[:, None] * heads + head[None, :]
        of = stats + at * STATS
        top = tl.load(of, mask=ok, other=NO_SCORE)
        new_top = tl.maximum(split_tops, top)
        fade = tl.exp(split_tops - new_top)
        gain = tl.exp(top - new_top)
        split_tops = new_top
        split_vs = split_vs * fade + tl.load(of + 1, mask=ok, other=0.0) * gain
        split_ts = split_ts * fade + tl.load(of + 2, mask=ok, other=0.0) * gain
        split_vn = split_vn * fade + tl.load(of + 3, mask=ok, other=0.0) * gain
        split_rest = split_rest * fade + tl.load(of + 4, mask=ok, other=0.0) * gain
        split_visual += tl.load(of + 5, mask=ok, other=0.0)
        split_visual_sinks += tl.load(of + 6, mask=ok, other=0.0)
        part = partial + at[:, :, None] * 3 * head_size + d[None, None, :]
        loaded = ok[:, :, None] & (d < head_size)[None, None, :]
        fade = fade[:, :, None]
        gain = gain[:, :, None]
        on_sinks = on_sinks * fade + tl.load(part, mask=loaded, other=0.0) * gain
        on_visual = on_visual * fade + tl.load(part + head_size, mask=loaded, other=0.0) * gain
        on_rest = on_rest * fade + tl.load(part + 2 * head_size, mask=loaded, other=0.0) * gain
    top = tl.max(split_tops, 0)
    share = tl.exp(split_tops - top[None, :])
    m_vs = tl.sum(split_vs * share, 0)
    m_ts = tl.sum(split_ts * share, 0)
    m_vn = tl.sum(split_vn * share, 0)
    m_rest = tl.sum(split_rest * share, 0)
    num_visual = tl.sum(split_visual, 0)
    num_visual_sinks = tl.sum(split_visual_sinks, 0)

    total = m_vs + m_ts + m_vn + m_rest
    one_over = 1.0 / tl.where(lane_ok, total, 1.0)
    m_vs *= one_over
    m_ts *= one_over
    m_vn *= one_over
    m_v = m_vs + m_vn

    rho = tl.load(settings + 1)
    p = tl.load(settings + 2)
    # The test of the authors' code, and the paper's.
    if tl.load(of_row + 5) != 0:
        passes = (m_vs / (m_v + num_visual * 1e-6) <= 1.0 - rho) & (num_visual_sinks > 0)
    else:
        passes = m_vn / tl.where(m_v > 0, m_v, 1.0) >= rho
    centric = passes & (m_v >= tl.load(settings + 3)) & (m_vn > 0) & lane_ok
    centric &= is_changed(row_ints, row, REDISTRIBUTE, layer)
    moved = tl.where(centric, p, 0.0)
    omega = moved * (m_vs + m_ts)
    of_sinks = 1.0 - moved
    of_visual = 1.0 + tl.where(centric, omega / tl.where(m_vn > 0, m_vn, 1.0), 0.0)

    one_over_before = tl.where(reweighs, 1.0 / total_before, one_over)
    visual_before = tl.where(reweighs, visual_before * one_over_before, m_v)
    top_before = tl.where(reweighs, top_before, top)

    result = on_sinks * of_sinks[None, :, None] + on_visual * of_visual[None, :, None] + on_rest
    result = tl.sum(result * share[:, :, None], 0) * (one_over * head_gain)[:, None]
    out_at = row.to(tl.int64) * out_stride + head[:, None] * head_size + d[None, :]
    tl.store(out + out_at, result.to(out.dtype.element_ty), mask=lanes_and_d)

    measured = lane_ok & (tl.load(of_row + 3) <= layer) & (layer <= tl.load(of_row + 4))
    visual_after = (m_v + omega - moved * m_vs) * head_gain
    group_sums = sums + (row * kv_heads + kv_head) * 4
    tl.store(group_sums, tl.sum((centric | suppressed | (lane_ok & reweighs)).to(tl.float32), 0))
    tl.store(group_sums + 1, tl.sum(omega, 0))
    tl.store(group_sums + 2, tl.sum(tl.where(measured, visual_before, 0.0), 0))
    tl.store(group_sums + 3, tl.sum(tl.where(measured, visual_after, 0.0), 0))

    row_factors = factors + (row * heads + head) * FACTORS
    tl.store(row_factors, top, mask=lane_ok)
    tl.store(row_factors + 1, one_over, mask=lane_ok)
    tl.store(row_factors + 2, top_before, mask=lane_ok)
    tl.store(row_factors + 3, one_over_before, mask=lane_ok)
    tl.store(row_factors + 4, of_sinks, mask=lane_ok)
    tl.store(row_factors + 5, of_visual, mask=lane_ok)
