"""Linear layers of one row, which are those of a decoding step of one sequence. They read each weight once, and should
take no longer than that; cuBLAS took a third longer for a matrix of a 7B on an H200 (docs/evidence/gpu.md).

Letters: K inputs, O outputs.
"""

import triton
import triton.language as tl


@triton.jit
def row_products(x, weight, row, ok, inputs, BLOCK: tl.constexpr):
    """x by some rows of the weight. x: [K]; weight: [O, K]; row, ok: [R] => [R] float32"""
    rows = weight + row.to(tl.int64)[:, None] * inputs
    products = tl.zeros([row.shape[0], BLOCK], tl.float32)
    for start in range(0, inputs, BLOCK):
        k = start + tl.arange(0, BLOCK)
        w = tl.load(rows + k[None, :], mask=ok[:, None] & (k < inputs)[None, :], other=0.0)
        value = tl.load(x + k, mask=k < inputs, other=0.0)
        products += w.to(tl.float32) * value.to(tl.float32)[None, :]
    return tl.sum(products, 1)


@triton.jit
def multiply_row(
    x,  # [K]
    weight,  # [O, K]
    bias,  # [O], not read unless has_bias
    out,  # [O]
    inputs,  # K, a multiple of 16
    outputs,  # O
    has_bias,
    adds,  # whether out is added to
    N: tl.constexpr,  # outputs of a program
    BLOCK: tl.constexpr,  # inputs of one iteration
):
    """out (+)= x W^T + bias. Grid: (ceil(O / N))"""
    output = tl.program_id(0) * N + tl.arange(0, N)
    ok = output < outputs
    total = row_products(x, weight, output, ok, inputs, BLOCK)
    if has_bias != 0:
        total += tl.load(bias + output, mask=ok, other=0.0).to(tl.float32)
    if adds != 0:
        total += tl.load(out + output, mask=ok, other=0.0).to(tl.float32)
    tl.store(out + output, total.to(out.dtype.element_ty), mask=ok)


@triton.jit
def multiply_gated_row(
    x,  # [K]
    weight,  # [2 O, K]: of the gate, then of what it lets through
    out,  # [O]
    inputs,  # K, a multiple of 16
    outputs,  # O
    N: tl.constexpr,  # outputs of a program
    BLOCK: tl.constexpr,  # inputs of one iteration
):
    """out = silu(gate) * up, where x W^T = [gate | up]. Grid: (ceil(O / N))"""
    both = tl.arange(0, 2 * N)
    of = tl.program_id(0) * N + both // 2
    total = row_products(x, weight, of + both % 2 * outputs, of < outputs, inputs, BLOCK)
    gate, up = tl.split(tl.reshape(total, [N, 2]))
    output = tl.program_id(0) * N + tl.arange(0, N)
    value = gate / (1 + tl.exp(-gate)) * up
    tl.store(out + output, value.to(out.dtype.element_ty), mask=output < outputs)
