"""Runs the attention kernels on a world in Triton's interpreter, as the server's cuda backend launches them."""

import numpy as np
import triton

from attention_maps import attend_maps
from attention_world import BLOCK_SIZE, AttentionWorld, Result, Row
from device_array import DeviceArray
from interpreter import multiply_bfloat16
from prefix_attention import attend_prefix
from row_attention import attend_rows
from row_combination import combine_rows
from variants import COMBINED, DECODE, MAPS, PREFIX, Tile

multiply_bfloat16()


class RowTables:
    """The tables of kernels/row_attention.py for some rows, ordered by sequence."""

    def __init__(self, world: AttentionWorld, rows: list[Row], tile: Tile, split_slots: int) -> None:
        ints, floats = [], []
        self.num_splits = 0
        for r in rows:
            settings = (r.sink_slots, r.first_layer, r.last_layer, int(r.authors_code))
            place = (split_slots, self.num_splits)
            ints.append((r.sequence, r.num_slots, *settings, *place, r.change, r.text_slots, r.kept_heads))
            floats.append((r.tau, r.rho, r.p, r.min_visual_attention))
            floats[-1] += (r.visual_scale, r.visual_boost, r.text_scale, r.suppressed_gain)
            self.num_splits += -(-r.num_slots // split_slots)
        self.ints = DeviceArray(np.array(ints, np.int32))
        self.floats = DeviceArray(np.array(floats, np.float32))
        self.tiles = DeviceArray(np.array(tiles_of(rows, tile.lanes // world.shape.group), np.int32))
        self.blocks = DeviceArray(world.blocks.astype(np.int32))
        self.empty = DeviceArray(world.empty)
        self.visual = DeviceArray(world.visual)


def tiles_of(rows: list[Row], rows_each: int) -> list[tuple[int, int]]:
    tiles = []
    first = 0
    while first < len(rows):
        count = 1
        while count < rows_each and first + count < len(rows) and rows[first + count].sequence == rows[first].sequence:
            count += 1
        tiles.append((first, count))
        first += count
    return tiles


def run_rows(
    world: AttentionWorld,
    rows: list[Row],
    queries: np.ndarray,
    layer: int,
    *,
    tile: Tile = DECODE,
    split_slots: int = 64,
) -> Result:
    """attend_rows, combine_rows and attend_maps of all rows."""
    shape = world.shape
    count, heads, size = queries.shape
    tables = RowTables(world, rows, tile, split_slots)
    splits = -(-max(row.num_slots for row in rows) // split_slots)
    max_slots = world.max_blocks * BLOCK_SIZE
    phi_stride = world.phi.shape[1]
    nan = np.float32(np.nan)
    partial = DeviceArray(np.full((tables.num_splits, heads, 3, size), nan))
    stats = DeviceArray(np.full((tables.num_splits, heads, 8), nan))
    out = world.device(np.zeros(queries.shape))
    sums = DeviceArray(np.full((count, shape.kv_heads, 4), nan))
    factors = DeviceArray(np.full((count, heads, 6), nan))
    maps = DeviceArray(np.zeros((count, shape.kv_heads, 2, max_slots), np.float32))
    q, k, v, phi = world.device(queries), world.device(world.k), world.device(world.v), DeviceArray(world.phi)
    scale = float(1 / np.sqrt(size))
    padded = shape.padded_head_size
    group = triton.next_power_of_2(shape.group)
    attend_rows[(len(tables.tiles.numpy()), shape.kv_heads, splits)](
        q, k, v, phi, tables.ints, tables.floats, tables.tiles, tables.blocks, tables.empty, tables.visual, partial,
        stats, heads * size, phi_stride, world.max_blocks, heads, shape.kv_heads, size, split_slots, layer, scale,
        BD=padded, BS=BLOCK_SIZE, M=tile.lanes, N=tile.slots,
    )  # fmt: skip
    combine_rows[(count, shape.kv_heads)](
        partial, stats, tables.ints, tables.floats, out, sums, factors,
        heads * size, heads, shape.kv_heads, size, layer,
        BD=padded, GP=group, SP=COMBINED // group,
    )  # fmt: skip
    attend_maps[(count, shape.kv_heads, -(-max_slots // MAPS.slots))](
        q, k, phi, tables.ints, tables.floats, factors, DeviceArray(np.arange(count, dtype=np.int32)),
        DeviceArray(np.ones(count, np.int8)), tables.blocks, tables.empty, tables.visual, maps,
        heads * size, phi_stride, world.max_blocks, max_slots, heads, shape.kv_heads, size, layer, scale,
        BD=padded, BS=BLOCK_SIZE, GP=MAPS.lanes, N=MAPS.slots,
    )  # fmt: skip
    return Result(out.numpy(), sums.numpy(), maps.numpy())


def run_prefix(world: AttentionWorld, queries: np.ndarray, start: int) -> np.ndarray:
    """attend_prefix of a chunk of sequence 0."""
    shape = world.shape
    count, heads, size = queries.shape
    out = world.device(np.zeros(queries.shape))
    attend_prefix[(-(-count // PREFIX.lanes), heads)](
        world.device(queries), world.device(world.k), world.device(world.v),
        DeviceArray(world.blocks[0].astype(np.int64)), out,
        heads * size, heads * size, count, start, heads, shape.kv_heads, size, float(1 / np.sqrt(size)),
        BD=shape.padded_head_size, BS=BLOCK_SIZE, M=PREFIX.lanes, N=PREFIX.slots,
    )  # fmt: skip
    return out.numpy()
