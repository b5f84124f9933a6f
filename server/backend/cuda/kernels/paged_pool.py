"""The KV pool in blocks of slots: [blocks, Hkv, BS, D] for K and for V."""

import triton
import triton.language as tl

NO_SCORE = tl.constexpr(-1e30)  # below every score; not infinite, so that differences stay numbers


@triton.jit
def slot_address(block, slot, kv_head, kv_heads, head_size, d, BS: tl.constexpr):
    """Index of elements d of the slots in a pool. block, slot: [N]; d: [BD] => [N, BD]"""
    row = (block.to(tl.int64) * kv_heads + kv_head) * BS + slot % BS
    return row[:, None] * head_size + d[None, :]
