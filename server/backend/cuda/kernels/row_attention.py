"""Attention of rows over the paged KV pool, with VAR in one pass over K and V.

VAR multiplies the attention of a row and head by one of three factors (docs/var.md, "Redistribution"): 1 - p on
sinks, 1 + Omega / m_vn on visual tokens that are not sinks, and 1 elsewhere. The factors follow from four sums of
attention. So `attend_rows` keeps three accumulators instead of one, and `combine_rows` scales them once all sums
are known. Rows without VAR take the same path with factors of 1; row_changes.py has what other interventions do. The
method is FlashAttention's and Flash-Decoding's (Dao et al., 2022 and 2023), with slots split over programs.

Letters: R rows, H heads, Hkv KV heads, G = H / Hkv, D head size, B sequences, P splits of all rows. BD is D
rounded up to a power of two, BS the pool's block size. A lane is one row and one head of a KV head's group.

Tables, made once per step:
  row_ints    [R, 11] int32: sequence, num_slots, sink_slots, first_layer, last_layer, authors_code, split_slots,
              index of its first split, change, text_slots, kept_heads
  row_floats  [R, 8] float32: tau, rho, p, min_visual_attention, visual_scale, visual_boost, text_scale,
              suppressed_gain
  tiles       [T, 2] int32: first row, number of rows; all of one sequence, at most M // G
  blocks      [B, max_blocks] int32
  empty       [B, 2] int32: slots [begin, end) hold no token
  visual      [B, max_blocks * BS] int8: 1 for a visual token

One layer of the pool:
  k_pool, v_pool  [blocks, Hkv, BS, D]
  phi             [2, blocks * BS] float32: plane 0 with the model's epsilon, plane 1 with the authors'
"""

import triton
import triton.language as tl

from paged_pool import NO_SCORE, slot_address
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
    reweighed,
    take_notes,
)


@triton.jit
def attend_rows(
    q,  # [R, H, D], rows q_stride apart
    k_pool,
    v_pool,
    phi,
    row_ints,
    row_floats,
    tiles,
    blocks,
    empty,
    visual,
    partial,  # [P, H, 3, D] float32, out: accumulators on sinks, visual tokens that are none, others
    stats,  # [P, H, 8] float32, out: maximum score; sums m_vs, m_ts, m_vn, rest; notes; maximum score before
    q_stride,
    phi_stride,  # blocks * BS
    max_blocks,
    heads,
    kv_heads,
    head_size,
    split_slots,  # slots of one split, a multiple of N
    layer,
    scale,  # 1 / sqrt(D)
    BD: tl.constexpr,
    BS: tl.constexpr,
    M: tl.constexpr,  # lanes
    N: tl.constexpr,  # slots of one iteration
):
    """One split of the slots of one tile of rows and one KV head. Grid: (T, Hkv, splits)"""
    tile = tl.program_id(0)
    kv_head = tl.program_id(1)
    split = tl.program_id(2)
    group = heads // kv_heads
    first_row = tl.load(tiles + 2 * tile)
    rows = tl.load(tiles + 2 * tile + 1)

    lane = tl.arange(0, M)
    lane_ok = lane < rows * group
    row = first_row + tl.minimum(lane // group, rows - 1)  # lanes too many are as those of the last row
    head = kv_head * group + lane % group
    sequence = tl.load(row_ints + first_row * INTS)
    num_slots = tl.load(row_ints + row * INTS + 1)
    last = tl.max(num_slots)
    begin = split * split_slots
    if begin < last:
        sink_slots = tl.load(row_ints + row * INTS + 2)
        authors = tl.load(row_ints + row * INTS + 5) != 0
        tau = tl.load(row_floats + row * FLOATS)
        changed = is_changed(row_ints, row, REWEIGH, layer) | is_changed(row_ints, row, SUPPRESS_HEADS, layer)
        any_changed = tl.max(changed.to(tl.int32)) != 0
        empty_begin = tl.load(empty + sequence * 2)
        empty_end = tl.load(empty + sequence * 2 + 1)
        d = tl.arange(0, BD)
        d_ok = d < head_size
        q_at = row[:, None].to(tl.int64) * q_stride + head[:, None] * head_size + d[None, :]
        q_rows = tl.load(q + q_at, mask=lane_ok[:, None] & d_ok[None, :], other=0.0)  # [M, BD]

        top = tl.full([M], NO_SCORE, tl.float32)
        m_vs = tl.zeros([M], tl.float32)
        m_ts = tl.zeros([M], tl.float32)
        m_vn = tl.zeros([M], tl.float32)
        m_rest = tl.zeros([M], tl.float32)
        note = tl.zeros([M], tl.float32)
        other_note = tl.zeros([M], tl.float32)
        top_before = tl.full([M], NO_SCORE, tl.float32)
        on_sinks = tl.zeros([M, BD], tl.float32)
        on_visual = tl.zeros([M, BD], tl.float32)
        on_rest = tl.zeros([M, BD], tl.float32)
        for start in range(begin, tl.minimum(begin + split_slots, last), N):
            slot = start + tl.arange(0, N)
            holds = (slot < last) & ((slot < empty_begin) | (slot >= empty_end))
            block = tl.load(blocks + sequence * max_blocks + slot // BS, mask=holds, other=0)
            at = slot_address(block, slot, kv_head, kv_heads, head_size, d, BS)
            loaded = holds[:, None] & d_ok[None, :]
            k = tl.load(k_pool + at, mask=loaded, other=0.0)  # [N, BD]
            v = tl.load(v_pool + at, mask=loaded, other=0.0)
            phi_at = block.to(tl.int64) * BS + slot % BS
            phi_paper = tl.load(phi + phi_at, mask=holds, other=0.0)
            phi_authors = tl.load(phi + phi_stride + phi_at, mask=holds, other=0.0)
            is_visual = tl.load(visual + sequence * max_blocks * BS + slot, mask=holds, other=0) != 0

            sees = holds[None, :] & (slot[None, :] < num_slots[:, None])  # [M, N]
            measure = tl.where(authors[:, None], phi_authors[None, :], phi_paper[None, :])
            sink = (measure >= tau[:, None]) & (slot[None, :] < sink_slots[:, None]) & sees
            visual_seen = is_visual[None, :] & sees

            score = tl.dot(q_rows, tl.trans(k), input_precision="ieee") * scale  # [M, N]
            notes = (note, other_note)
            note += tl.sum(visual_seen.to(tl.float32), 1)
            other_note += tl.sum((sink & visual_seen).to(tl.float32), 1)
            if any_changed:
                note, other_note, top_before = take_notes(
                    score, sees, visual_seen, (note, other_note), notes, top_before, row_ints, row, layer
                )
                score = reweighed(score, is_visual, slot, row_ints, row_floats, row, layer)
            score = tl.where(sees, score, NO_SCORE)
            new_top = tl.maximum(top, tl.max(score, 1))
            fade = tl.exp(top - new_top)
            top = new_top
            weight = tl.where(sees, tl.exp(score - new_top[:, None]), 0.0)
            w_vs = tl.where(sink & visual_seen, weight, 0.0)
            w_ts = tl.where(sink & (visual_seen == 0), weight, 0.0)
            w_vn = tl.where((sink == 0) & visual_seen, weight, 0.0)
            w_rest = tl.where((sink == 0) & (visual_seen == 0), weight, 0.0)
            m_vs = m_vs * fade + tl.sum(w_vs, 1)
            m_ts = m_ts * fade + tl.sum(w_ts, 1)
            m_vn = m_vn * fade + tl.sum(w_vn, 1)
            m_rest = m_rest * fade + tl.sum(w_rest, 1)
            on_sinks = on_sinks * fade[:, None] + tl.dot((w_vs + w_ts).to(v.dtype), v, input_precision="ieee")
            on_visual = on_visual * fade[:, None] + tl.dot(w_vn.to(v.dtype), v, input_precision="ieee")
            on_rest = on_rest * fade[:, None] + tl.dot(w_rest.to(v.dtype), v, input_precision="ieee")

        # Shorter rows of the tile have fewer splits.
        begins = lane_ok & (begin < num_slots)
        first_split = tl.load(row_ints + row * INTS + 7)
        at = (first_split + split).to(tl.int64) * heads + head  # [M]
        out = stats + at * STATS
        tl.store(out, top, mask=begins)
        tl.store(out + 1, m_vs, mask=begins)
        tl.store(out + 2, m_ts, mask=begins)
        tl.store(out + 3, m_vn, mask=begins)
        tl.store(out + 4, m_rest, mask=begins)
        tl.store(out + 5, note, mask=begins)
        tl.store(out + 6, other_note, mask=begins)
        tl.store(out + 7, top_before, mask=begins)
        sums = partial + at[:, None] * 3 * head_size + d[None, :]
        stored = begins[:, None] & d_ok[None, :]
        tl.store(sums, on_sinks, mask=stored)
        tl.store(sums + head_size, on_visual, mask=stored)
        tl.store(sums + 2 * head_size, on_rest, mask=stored)


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
