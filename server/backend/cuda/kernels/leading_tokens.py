"""What sampling needs of a row of logits: server/backend/leading_tokens.h."""

import triton
import triton.language as tl


@triton.jit
def leading_tokens(
    logits,  # [S, V] float32
    largest,  # [S, 2] float32, as layer_ops.largest leaves it
    rows,  # [W] int64, of the logits
    temperatures,  # [W] float32
    maxima,  # [W, ceil(V / BLOCK)] float32, scratch: the largest logit of each block of tokens
    blocks,  # [W, ceil(V / BLOCK)] int32, scratch: those with a token to keep
    leading,  # [W, 4 + 2 * room] float32, out
    vocabulary,  # V
    least,  # a number of tokens, at most of blocks
    room,
    BLOCK: tl.constexpr,
    BLOCKS: tl.constexpr,  # of one iteration
    MAXIMA: tl.constexpr,  # at least ceil(V / BLOCK), a power of two
):
    """Keeps all tokens whose logits reach the `least`-th largest of the blocks' maxima, which `least` tokens do at
    least; all tokens if there is room for them. One program adds a row up, so its sums depend on that row alone.
    Grid: (W,)"""
    index = tl.program_id(0).to(tl.int64)
    row = tl.load(rows + index)
    top = tl.load(largest + row * 2)
    temperature = tl.load(temperatures + index)
    num_blocks = (vocabulary + BLOCK - 1) // BLOCK
    logits += row * vocabulary
    maxima += index * num_blocks
    blocks += index * num_blocks
    leading += index * (4 + 2 * room)

    block = tl.arange(0, BLOCKS)
    lane = tl.arange(0, BLOCK)
    weights = tl.zeros([BLOCKS, BLOCK], tl.float32)
    weights_at_one = tl.zeros([BLOCKS, BLOCK], tl.float32)
    for first in range(0, num_blocks, BLOCKS):
        token = (first + block)[:, None] * BLOCK + lane[None, :]
        logit = tl.load(logits + token, mask=token < vocabulary, other=float("-inf"))
        weights += tl.exp((logit - top) / temperature)
        weights_at_one += tl.exp(logit - top)
        tl.store(maxima + first + block, tl.max(logit, 1), mask=first + block < num_blocks)
    tl.store(leading + 1, tl.sum(tl.sum(weights, 1), 0))
    tl.store(leading + 2, tl.sum(tl.sum(weights_at_one, 1), 0))
    tl.debug_barrier()  # the maxima were written by other threads

    slot = tl.arange(0, MAXIMA)
    maximum = tl.load(maxima + slot, mask=slot < num_blocks, other=float("-inf"))
    floor = tl.where(vocabulary > room, largest_of_rank(maximum, least), float("-inf"))
    kept = (maximum >= floor) & (slot < num_blocks)
    tl.store(blocks + tl.cumsum(kept.to(tl.int32), 0) - 1, slot, mask=kept)
    num_kept = tl.sum(kept.to(tl.int32), 0)
    tl.debug_barrier()

    lane = tl.arange(0, BLOCKS * BLOCK)
    count = 0
    for first in range(0, num_kept, BLOCKS):
        which = first + lane // BLOCK
        token = tl.load(blocks + which, mask=which < num_kept, other=0) * BLOCK + lane % BLOCK
        ok = (which < num_kept) & (token < vocabulary)
        logit = tl.load(logits + token, mask=ok, other=float("-inf"))
        ok &= logit >= floor
        place = count + tl.cumsum(ok.to(tl.int32), 0) - 1
        tl.store(leading + 4 + place, token.to(tl.float32), mask=ok & (place < room))
        tl.store(leading + 4 + room + place, logit, mask=ok & (place < room))
        count += tl.sum(ok.to(tl.int32), 0)
    tl.store(leading, count.to(tl.float32))


@triton.jit
def largest_of_rank(values, rank):
    """The rank-th largest of float32 values, bit by bit of integers in the same order."""
    bits = values.to(tl.int32, bitcast=True)
    keys = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    found = tl.where(tl.sum((keys >= 0).to(tl.int32), 0) >= rank, 0, -0x80000000).to(tl.int32)
    for i in range(31):
        candidate = found + (1 << (30 - i))
        found = tl.where(tl.sum((keys >= candidate).to(tl.int32), 0) >= rank, candidate, found)
    return (found ^ ((found >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)
