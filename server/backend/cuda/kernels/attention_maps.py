"""Attention maps of single rows: detail MAPS. Arguments are those of row_attention.py."""

import triton
import triton.language as tl

from paged_pool import slot_address
from row_changes import FACTORS, FLOATS, INTS, reweighed


@triton.jit
def attend_maps(
    q,
    k_pool,
    phi,
    row_ints,
    row_floats,
    factors,  # from combine_rows
    map_rows,  # [maps] int32: the row of each map
    map_flags,  # [maps] int8: whether the map includes this layer
    blocks,
    empty,
    visual,
    maps,  # [maps, Hkv, 2, max_slots] float32, added to: attention before and after, summed over heads
    q_stride,
    phi_stride,
    max_blocks,
    max_slots,
    heads,
    kv_heads,
    head_size,
    layer,
    scale,
    BD: tl.constexpr,
    BS: tl.constexpr,
    GP: tl.constexpr,  # at least 16, as a matrix product needs
    N: tl.constexpr,
):
    """Attention of one row over N slots, once its factors are known. Grid: (maps, Hkv, max_slots / N)"""
    index = tl.program_id(0)
    kv_head = tl.program_id(1)
    row = tl.load(map_rows + index)
    num_slots = tl.load(row_ints + row * INTS + 1)
    start = tl.program_id(2) * N
    if (tl.load(map_flags + index) != 0) & (start < num_slots):
        group = heads // kv_heads
        lane = tl.arange(0, GP)
        lane_ok = lane < group
        head = kv_head * group + lane
        d = tl.arange(0, BD)
        d_ok = d < head_size
        sequence = tl.load(row_ints + row * INTS)
        sink_slots = tl.load(row_ints + row * INTS + 2)
        authors = tl.load(row_ints + row * INTS + 5)
        tau = tl.load(row_floats + row * FLOATS)
        slot = start + tl.arange(0, N)
        holds = slot < num_slots
        holds &= (slot < tl.load(empty + sequence * 2)) | (slot >= tl.load(empty + sequence * 2 + 1))
        block = tl.load(blocks + sequence * max_blocks + slot // BS, mask=holds, other=0)
        at = slot_address(block, slot, kv_head, kv_heads, head_size, d, BS)
        k = tl.load(k_pool + at, mask=holds[:, None] & d_ok[None, :], other=0.0)
        q_at = row.to(tl.int64) * q_stride + head[:, None] * head_size + d[None, :]
        q_rows = tl.load(q + q_at, mask=lane_ok[:, None] & d_ok[None, :], other=0.0)
        plane = tl.where(authors != 0, phi_stride, 0)
        measure = tl.load(phi + plane + block.to(tl.int64) * BS + slot % BS, mask=holds, other=0.0)
        is_visual = tl.load(visual + sequence * max_blocks * BS + slot, mask=holds, other=0) != 0
        sink = (measure >= tau) & (slot < sink_slots) & holds

        row_factors = factors + (row * heads + head) * FACTORS
        top = tl.load(row_factors, mask=lane_ok, other=0.0)
        one_over = tl.load(row_factors + 1, mask=lane_ok, other=0.0)
        top_before = tl.load(row_factors + 2, mask=lane_ok, other=0.0)
        one_over_before = tl.load(row_factors + 3, mask=lane_ok, other=0.0)
        of_sinks = tl.load(row_factors + 4, mask=lane_ok, other=0.0)
        of_visual = tl.load(row_factors + 5, mask=lane_ok, other=0.0)
        score = tl.dot(q_rows, tl.trans(k), input_precision="ieee") * scale  # [GP, N]
        seen = lane_ok[:, None] & holds[None, :]
        before = tl.where(seen, tl.exp(score - top_before[:, None]) * one_over_before[:, None], 0.0)
        score = reweighed(score, is_visual, slot, row_ints, row_floats, tl.full([GP], row, tl.int32), layer)
        after = tl.where(seen, tl.exp(score - top[:, None]) * one_over[:, None], 0.0)
        factor = tl.where(sink[None, :], of_sinks[:, None], tl.where(is_visual[None, :], of_visual[:, None], 1.0))
        of = maps + (index * kv_heads + kv_head) * 2 * max_slots + slot
        in_map = slot < max_slots
        tl.store(of, tl.load(of, mask=in_map) + tl.sum(before, 0), mask=in_map)
        of += max_slots
        tl.store(of, tl.load(of, mask=in_map) + tl.sum(after * factor, 0), mask=in_map)
