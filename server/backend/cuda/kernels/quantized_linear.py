"""Linear layers and the vocabulary's table with weights of 4 or 8 bits.

A weight is (code - zero) * scale, with a scale and a zero for each output and group of inputs, rounded to the type
of the activations and multiplied as any weight of that type. Groups have multiples of 32 inputs.

Letters: N tokens, K inputs, O outputs, G groups. Weights of 8 bits are [O, K] uint8. Those of 4 bits are [O, K / 2]:
the lower half of byte k is input k, the upper half is input K / 2 + k.
"""

import triton
import triton.language as tl

LEAST_GROUP = tl.constexpr(32)


@triton.jit
def dequantized(codes, scales, zeros, output, output_ok, first, end, groups, group):
    """Weights of consecutive inputs, the first of them `first`; none from `end` on. codes: [O, K] => [O, K] float32"""
    OUTPUTS: tl.constexpr = codes.shape[0]
    INPUTS: tl.constexpr = codes.shape[1]
    PARTS: tl.constexpr = INPUTS // LEAST_GROUP
    part = first + tl.arange(0, PARTS) * LEAST_GROUP
    ok = output_ok[:, None] & (part < end)[None, :]
    at = output.to(tl.int64)[:, None] * groups + (part // group)[None, :]
    scale = tl.load(scales + at, mask=ok, other=0.0)  # [O, PARTS]
    zero = tl.load(zeros + at, mask=ok, other=0).to(tl.float32)
    values = tl.reshape(codes.to(tl.float32), [OUTPUTS, PARTS, LEAST_GROUP])
    return tl.reshape((values - zero[:, :, None]) * scale[:, :, None], [OUTPUTS, INPUTS])


@triton.jit
def multiply_quantized(
    x,  # [N, K], rows x_stride apart
    weight,
    scales,  # [O, G] float32
    zeros,  # [O, G] uint8
    bias,  # [O], not read unless has_bias
    out,  # [N, O]
    tokens,  # N
    inputs,  # K, a multiple of 32, or of 64 for 4 bits
    outputs,  # O
    group,  # K / G
    x_stride,
    has_bias,
    adds,  # whether out is added to
    BITS: tl.constexpr,
    M: tl.constexpr,  # tokens of a program
    N: tl.constexpr,  # outputs of a program
    BYTES: tl.constexpr,  # of an output's weights in one iteration
):
    """out (+)= x W^T + bias. Grid: (ceil(N / M), ceil(O / N))"""
    token = tl.program_id(0) * M + tl.arange(0, M)
    token_ok = token < tokens
    output = tl.program_id(1) * N + tl.arange(0, N)
    output_ok = output < outputs
    groups = inputs // group
    width = tl.multiple_of(inputs * BITS // 8, LEAST_GROUP)  # bytes of an output
    x_rows = x + token.to(tl.int64)[:, None] * x_stride
    weight_rows = weight + output.to(tl.int64)[:, None] * width
    total = tl.zeros([M, N], tl.float32)
    for start in range(0, width, BYTES):
        at = start + tl.arange(0, BYTES)
        x_ok = token_ok[:, None] & (at < width)[None, :]
        codes = tl.load(weight_rows + at[None, :], mask=output_ok[:, None] & (at < width)[None, :], other=0)
        low = tl.load(x_rows + at[None, :], mask=x_ok, other=0.0)  # [M, BYTES]
        if BITS == 8:
            w = dequantized(codes, scales, zeros, output, output_ok, start, inputs, groups, group)
            total += tl.dot(low, tl.trans(w.to(x.dtype.element_ty)), input_precision="ieee")
        else:
            high = tl.load(x_rows + width + at[None, :], mask=x_ok, other=0.0)
            w = dequantized(codes & 15, scales, zeros, output, output_ok, start, width, groups, group)
            total += tl.dot(low, tl.trans(w.to(x.dtype.element_ty)), input_precision="ieee")
            w = dequantized(codes >> 4, scales, zeros, output, output_ok, width + start, inputs, groups, group)
            total += tl.dot(high, tl.trans(w.to(x.dtype.element_ty)), input_precision="ieee")
    stored = token_ok[:, None] & output_ok[None, :]
    if has_bias != 0:
        total += tl.load(bias + output, mask=output_ok, other=0.0).to(tl.float32)[None, :]
    out_at = out + token.to(tl.int64)[:, None] * outputs + output[None, :]
    if adds != 0:
        total += tl.load(out_at, mask=stored, other=0.0).to(tl.float32)
    tl.store(out_at, total.to(out.dtype.element_ty), mask=stored)


@triton.jit
def look_up_quantized(
    ids,  # [N] int64
    weight,
    scales,  # [O, G] float32
    zeros,  # [O, G] uint8
    out,  # [N, K]
    inputs,  # K
    group,  # K / G
    BITS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Rows of a table. Grid: (N, ceil(K / BLOCK))"""
    token = tl.program_id(0).to(tl.int64)
    row = tl.load(ids + token)
    k = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    ok = k < inputs
    at = row * (inputs // group) + k // group
    if BITS == 8:
        code = tl.load(weight + row * inputs + k, mask=ok, other=0)
    else:
        half = inputs // 2
        both = tl.load(weight + row * half + k % half, mask=ok, other=0)
        code = tl.where(k < half, both & 15, both >> 4)
    zero = tl.load(zeros + at, mask=ok, other=0).to(tl.float32)
    value = (code.to(tl.float32) - zero) * tl.load(scales + at, mask=ok, other=0.0)
    tl.store(out + token * inputs + k, value.to(out.dtype.element_ty), mask=ok)
