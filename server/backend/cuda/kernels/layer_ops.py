"""The operations of a decoder layer between its matrix products.

Letters: N tokens, C width, H heads, Hkv KV heads, D head size, I gated width. Activations are bfloat16 or float16, all
sums float32.
"""

import triton
import triton.language as tl


@triton.jit
def rms_norm(
    x,  # [N, C]
    weight,  # [C] float32
    out,  # [N, C]
    dimensions,  # [num_dimensions] int32: D_sink
    slots,  # [N] int64: of the tokens in the pool
    phi,  # [2, blocks * block_size] float32, out at `slots`
    width,  # C
    num_dimensions,  # 0: phi is not measured
    phi_stride,  # blocks * block_size
    eps,
    authors_eps,
    DIMENSIONS: tl.constexpr,  # at least num_dimensions, a power of two
    BLOCK: tl.constexpr,
):
    """out = x / sqrt(mean(x^2) + eps) * weight, and phi of the same row (docs/var.md, "Sinks"). Grid: (N,)"""
    token = tl.program_id(0).to(tl.int64)
    row = x + token * width
    lane = tl.arange(0, BLOCK)
    # All that is read before the sum, so that it is read at once. Most models have no more than one block.
    ok = lane < width
    first = tl.load(row + lane, mask=ok, other=0.0).to(tl.float32)
    first_gain = tl.load(weight + lane, mask=ok, other=0.0)
    in_sinks = tl.zeros([DIMENSIONS], tl.float32)
    slot = tl.zeros([], tl.int64)
    if num_dimensions > 0:
        index = tl.arange(0, DIMENSIONS)
        dimension = tl.load(dimensions + index, mask=index < num_dimensions, other=0)
        in_sinks = tl.load(row + dimension, mask=index < num_dimensions, other=0.0).to(tl.float32)
        slot = tl.load(slots + token)
    squares = first * first
    for start in range(BLOCK, width, BLOCK):
        value = tl.load(row + start + lane, mask=start + lane < width, other=0.0).to(tl.float32)
        squares += value * value
    mean_square = tl.sum(squares, 0) / width
    scale = 1.0 / tl.sqrt(mean_square + eps)
    tl.store(out + token * width + lane, (first * scale * first_gain).to(out.dtype.element_ty), mask=ok)
    for start in range(BLOCK, width, BLOCK):
        ok = start + lane < width
        value = tl.load(row + start + lane, mask=ok, other=0.0).to(tl.float32)
        gain = tl.load(weight + start + lane, mask=ok, other=0.0)
        tl.store(out + token * width + start + lane, (value * scale * gain).to(out.dtype.element_ty), mask=ok)
    if num_dimensions > 0:
        largest = tl.max(tl.abs(in_sinks), 0)
        tl.store(phi + slot, largest / tl.sqrt(mean_square + eps))
        tl.store(phi + phi_stride + slot, largest / tl.sqrt(mean_square + authors_eps))


@triton.jit
def rope_and_store(
    qkv,  # [N, (H + 2 Hkv) D]: q is rotated in place
    q_norm,  # [D] float32: weights of each head's RMS norm, if NORM
    k_norm,
    cos,  # [N, D / 2] float32
    sin,
    slots,  # [N] int64
    k_pool,  # [blocks, Hkv, BS, D], out at `slots`: rotated k
    v_pool,  # out at `slots`
    heads,
    kv_heads,
    head_size,
    eps,  # of the norms
    NORM: tl.constexpr,
    HALF: tl.constexpr,  # D / 2 rounded up to a power of two
    BS: tl.constexpr,
):
    """Rotates by position, as transformers' apply_rotary_pos_emb, after the heads' norms. Grid: (N, H + 2 Hkv)"""
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    half = head_size // 2
    lane = tl.arange(0, HALF)
    ok = lane < half
    first = qkv + token * (heads + 2 * kv_heads) * head_size + head * head_size + lane
    low = tl.load(first, mask=ok, other=0.0)
    high = tl.load(first + half, mask=ok, other=0.0)
    if NORM:  # noqa: SIM102 (known when the kernel is compiled)
        if head < heads + kv_heads:
            gains = q_norm if head < heads else k_norm
            wide_low = low.to(tl.float32)
            wide_high = high.to(tl.float32)
            squares = tl.sum(wide_low * wide_low + wide_high * wide_high, 0)
            scale = 1.0 / tl.sqrt(squares / head_size + eps)
            low = (wide_low * scale * tl.load(gains + lane, mask=ok, other=0.0)).to(low.dtype)
            high = (wide_high * scale * tl.load(gains + half + lane, mask=ok, other=0.0)).to(high.dtype)
    if head < heads + kv_heads:
        c = tl.load(cos + token * half + lane, mask=ok, other=0.0)
        s = tl.load(sin + token * half + lane, mask=ok, other=0.0)
        wide_low = low.to(tl.float32)
        wide_high = high.to(tl.float32)
        low = (wide_low * c - wide_high * s).to(low.dtype)
        high = (wide_high * c + wide_low * s).to(high.dtype)
    if head < heads:
        tl.store(first, low, mask=ok)
        tl.store(first + half, high, mask=ok)
    else:
        slot = tl.load(slots + token)
        kv_head = (head - heads) % kv_heads
        at = (((slot // BS) * kv_heads + kv_head) * BS + slot % BS) * head_size + lane
        if head < heads + kv_heads:
            tl.store(k_pool + at, low, mask=ok)
            tl.store(k_pool + at + half, high, mask=ok)
        else:
            tl.store(v_pool + at, low, mask=ok)
            tl.store(v_pool + at + half, high, mask=ok)


@triton.jit
def largest(
    logits,  # [S, V] float32
    out,  # [S, 2] float32: the largest of each row, NaN if the row has one, and the index of the first that is
    vocabulary,  # V
    BLOCK: tl.constexpr,
):
    """Grid: (S,)"""
    row = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, BLOCK)
    best = tl.full([BLOCK], float("-inf"), tl.float32)
    best_at = tl.full([BLOCK], 0x7FFFFFFF, tl.int32)
    is_nan = tl.zeros([BLOCK], tl.int32)
    for start in range(0, vocabulary, BLOCK):
        value = tl.load(logits + row * vocabulary + start + lane, mask=start + lane < vocabulary, other=float("-inf"))
        is_nan |= (value != value).to(tl.int32)
        larger = (value > best) | ((best_at == 0x7FFFFFFF) & (start + lane < vocabulary))
        best = tl.where(larger, value, best)
        best_at = tl.where(larger, start + lane, best_at)
    top = tl.max(best, 0)
    at = tl.min(tl.where(best == top, best_at, 0x7FFFFFFF), 0)
    tl.store(out + row * 2, tl.where(tl.max(is_nan, 0) > 0, float("nan"), top))
    tl.store(out + row * 2 + 1, at.to(tl.float32))


@triton.jit
def silu_mul(
    gate_up,  # [N, 2 I]: gate, up
    out,  # [N, I]
    width,  # I
    BLOCK: tl.constexpr,
):
    """out = silu(gate) * up. Grid: (N, ceil(I / BLOCK))"""
    token = tl.program_id(0).to(tl.int64)
    lane = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    ok = lane < width
    gate = tl.load(gate_up + token * 2 * width + lane, mask=ok, other=0.0).to(tl.float32)
    up = tl.load(gate_up + token * 2 * width + width + lane, mask=ok, other=0.0).to(tl.float32)
    tl.store(out + token * width + lane, (gate / (1.0 + tl.exp(-gate)) * up).to(out.dtype.element_ty), mask=ok)
