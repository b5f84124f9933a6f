"""A linear layer of one row, which is that of a decoding step of one sequence. It takes as long as reading the weights,
each once; cuBLAS takes a third longer for the matrices of a 7B on an H200 (docs/evidence/gpu.md).

Letters: K inputs, O outputs.
"""

import triton
import triton.language as tl


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
    rows = weight + output.to(tl.int64)[:, None] * inputs
    products = tl.zeros([N, BLOCK], tl.float32)
    for start in range(0, inputs, BLOCK):
        k = start + tl.arange(0, BLOCK)
        w = tl.load(rows + k[None, :], mask=ok[:, None] & (k < inputs)[None, :], other=0.0)
        value = tl.load(x + k, mask=k < inputs, other=0.0)
        products += w.to(tl.float32) * value.to(tl.float32)[None, :]
    total = tl.sum(products, 1)
    if has_bias != 0:
        total += tl.load(bias + output, mask=ok, other=0.0).to(tl.float32)
    if adds != 0:
        total += tl.load(out + output, mask=ok, other=0.0).to(tl.float32)
    tl.store(out + output, total.to(out.dtype.element_ty), mask=ok)
