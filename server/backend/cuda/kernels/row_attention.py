"""Attention of rows over the paged KV pool, with VAR in one pass over K and V.

VAR multiplies the attention of a row and head by one of three factors (docs/var.md, "Redistribution"): 1 - p on
sinks, 1 + Omega / m_vn on visual tokens that are not sinks, and 1 elsewhere. The factors follow from four sums of
attention. So `attend_rows` keeps three accumulators instead of one, and `combine_rows` (row_combination.py) scales
them once all sums are known. Rows without VAR take the same path with factors of 1; row_changes.py has what other
interventions do. The method is FlashAttention's and Flash-Decoding's (Dao et al., 2022 and 2023), with slots split over
programs.

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
from row_changes import FLOATS, INTS, REWEIGH, STATS, SUPPRESS_HEADS, is_changed, reweighed, take_notes

# Two counts share an integer: visual tokens, and so many for each of them that is a sink.
VISUAL_SINK = tl.constexpr(1 << 16)


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
    split_slots,  # slots of one split, a multiple of N, less than VISUAL_SINK / 2
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
        # Sums over slots are made once, after the loop: each one is a barrier of all warps.
        m_vs = tl.zeros([M, N], tl.float32)
        m_ts = tl.zeros([M, N], tl.float32)
        m_vn = tl.zeros([M, N], tl.float32)
        m_rest = tl.zeros([M, N], tl.float32)
        counts = tl.zeros([M, N], tl.int32)
        note = tl.zeros([M], tl.float32)
        other_note = tl.zeros([M], tl.float32)
        top_before = tl.full([M], NO_SCORE, tl.float32)
        on_sinks = tl.zeros([M, BD], tl.float32)
        on_visual = tl.zeros([M, BD], tl.float32)
        on_rest = tl.zeros([M, BD], tl.float32)
        # The table is read a tile ahead: then Triton reads K and V ahead, too.
        block_table = blocks + sequence * max_blocks
        visual_table = visual + sequence * max_blocks * BS
        ahead = begin + tl.arange(0, N)
        block = tl.load(block_table + ahead // BS, mask=ahead < last, other=0)
        is_visual = tl.load(visual_table + ahead, mask=ahead < last, other=0) != 0
        for start in range(begin, tl.minimum(begin + split_slots, last), N):
            slot = start + tl.arange(0, N)
            holds = (slot < last) & ((slot < empty_begin) | (slot >= empty_end))
            at = slot_address(block, slot, kv_head, kv_heads, head_size, d, BS)
            loaded = holds[:, None] & d_ok[None, :]
            k = tl.load(k_pool + at, mask=loaded, other=0.0)  # [N, BD]
            v = tl.load(v_pool + at, mask=loaded, other=0.0)
            phi_at = block.to(tl.int64) * BS + slot % BS
            phi_paper = tl.load(phi + phi_at, mask=holds, other=0.0)
            phi_authors = tl.load(phi + phi_stride + phi_at, mask=holds, other=0.0)
            sees = holds[None, :] & (slot[None, :] < num_slots[:, None])  # [M, N]
            measure = tl.where(authors[:, None], phi_authors[None, :], phi_paper[None, :])
            sink = (measure >= tau[:, None]) & (slot[None, :] < sink_slots[:, None]) & sees
            visual_seen = is_visual[None, :] & sees

            score = tl.dot(q_rows, tl.trans(k), input_precision="ieee") * scale  # [M, N]
            counts += tl.where(visual_seen, tl.where(sink, 1 + VISUAL_SINK, 1), 0)
            if any_changed:
                note, other_note, top_before = take_notes(
                    score, sees, visual_seen, (note, other_note), top_before, row_ints, row, layer
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
            m_vs = m_vs * fade[:, None] + w_vs
            m_ts = m_ts * fade[:, None] + w_ts
            m_vn = m_vn * fade[:, None] + w_vn
            m_rest = m_rest * fade[:, None] + w_rest
            on_sinks = on_sinks * fade[:, None] + tl.dot((w_vs + w_ts).to(v.dtype), v, input_precision="ieee")
            on_visual = on_visual * fade[:, None] + tl.dot(w_vn.to(v.dtype), v, input_precision="ieee")
            on_rest = on_rest * fade[:, None] + tl.dot(w_rest.to(v.dtype), v, input_precision="ieee")
            ahead = slot + N
            block = tl.load(block_table + ahead // BS, mask=ahead < last, other=0)
            is_visual = tl.load(visual_table + ahead, mask=ahead < last, other=0) != 0

        count = tl.sum(counts, 1)
        note = tl.where(changed, note, (count % VISUAL_SINK).to(tl.float32))
        other_note = tl.where(changed, other_note, (count // VISUAL_SINK).to(tl.float32))
        # Shorter rows of the tile have fewer splits.
        begins = lane_ok & (begin < num_slots)
        first_split = tl.load(row_ints + row * INTS + 7)
        at = (first_split + split).to(tl.int64) * heads + head  # [M]
        out = stats + at * STATS
        tl.store(out, top, mask=begins)
        tl.store(out + 1, tl.sum(m_vs, 1), mask=begins)
        tl.store(out + 2, tl.sum(m_ts, 1), mask=begins)
        tl.store(out + 3, tl.sum(m_vn, 1), mask=begins)
        tl.store(out + 4, tl.sum(m_rest, 1), mask=begins)
        tl.store(out + 5, note, mask=begins)
        tl.store(out + 6, other_note, mask=begins)
        tl.store(out + 7, top_before, mask=begins)
        sums = partial + at[:, None] * 3 * head_size + d[None, :]
        stored = begins[:, None] & d_ok[None, :]
        tl.store(sums, on_sinks, mask=stored)
        tl.store(sums + head_size, on_visual, mask=stored)
        tl.store(sums + 2 * head_size, on_rest, mask=stored)
