"""Plain causal attention of prefix chunks over the paged KV pool. Letters are those of row_attention.py."""

import triton
import triton.language as tl

from paged_pool import NO_SCORE, slot_address


@triton.jit
def attend_prefix(
    q,  # [count, H, D], rows q_stride apart
    k_pool,
    v_pool,
    blocks,  # [ceil((start + count) / BS)] int64: the sequence's
    out,  # [count, H, D], rows out_stride apart
    q_stride,
    out_stride,
    count,
    start,  # position of the chunk's first token
    heads,
    kv_heads,
    head_size,
    scale,
    BD: tl.constexpr,
    BS: tl.constexpr,
    M: tl.constexpr,  # tokens
    N: tl.constexpr,  # slots of one iteration
):
    """Plain causal attention of M tokens and one head. Grid: (ceil(count / M), H)"""
    token = tl.program_id(0) * M + tl.arange(0, M)
    head = tl.program_id(1)
    kv_head = head // (heads // kv_heads)
    d = tl.arange(0, BD)
    d_ok = d < head_size
    token_ok = token < count
    q_at = token[:, None].to(tl.int64) * q_stride + head * head_size + d[None, :]
    q_rows = tl.load(q + q_at, mask=token_ok[:, None] & d_ok[None, :], other=0.0)  # [M, BD]
    top = tl.full([M], NO_SCORE, tl.float32)
    total = tl.zeros([M], tl.float32)
    result = tl.zeros([M, BD], tl.float32)
    last = start + tl.minimum(count, (tl.program_id(0) + 1) * M)
    # The table is read a tile ahead: then Triton reads K and V ahead, too.
    ahead = tl.arange(0, N)
    block = tl.load(blocks + ahead // BS, mask=ahead < last, other=0)
    for first in range(0, last, N):
        slot = first + tl.arange(0, N)
        holds = slot < last
        at = slot_address(block, slot, kv_head, kv_heads, head_size, d, BS)
        loaded = holds[:, None] & d_ok[None, :]
        k = tl.load(k_pool + at, mask=loaded, other=0.0)  # [N, BD]
        v = tl.load(v_pool + at, mask=loaded, other=0.0)
        sees = holds[None, :] & (slot[None, :] <= start + token[:, None])  # [M, N]
        score = tl.where(sees, tl.dot(q_rows, tl.trans(k), input_precision="ieee") * scale, NO_SCORE)
        new_top = tl.maximum(top, tl.max(score, 1))
        fade = tl.exp(top - new_top)
        top = new_top
        weight = tl.where(sees, tl.exp(score - new_top[:, None]), 0.0)
        total = total * fade + tl.sum(weight, 1)
        result = result * fade[:, None] + tl.dot(weight.to(v.dtype), v, input_precision="ieee")
        ahead = slot + N
        block = tl.load(blocks + ahead // BS, mask=ahead < last, other=0)
    result = result / tl.where(total > 0, total, 1.0)[:, None]
    out_at = token[:, None].to(tl.int64) * out_stride + head * head_size + d[None, :]
    tl.store(out + out_at, result.to(out.dtype.element_ty), mask=token_ok[:, None] & d_ok[None, :])
