"""Every kernel in the forms in which it is compiled: types, head sizes, tiles. The server picks among them by name
(server/backend/cuda/kernels.h)."""

import dataclasses
from collections.abc import Iterator

import attention_maps
import layer_ops
import leading_tokens
import linear_row
import prefix_attention
import quantized_linear
import row_attention
import row_combination

BLOCK_SIZE = 16  # slots: KvCache::kBlockSize
TYPES = ("bf16", "fp16")
HEAD_SIZES = (64, 128)  # up to which a head size is rounded up
GROUPS = (1, 2, 4, 8, 16)  # heads of a KV head, rounded up

ROWS = {"row_ints": "*i32", "row_floats": "*fp32"}
TABLES = {"blocks": "*i32", "empty": "*i32", "visual": "*i8"}
HEADS = {"heads": "i32", "kv_heads": "i32", "head_size": "i32"}
# Arguments that are multiples of 16, which a launch checks: addresses of whole tensors, and sizes of their rows. A
# vocabulary has any size.
ALIGNED = {
    "q", "k_pool", "v_pool", "partial", "stats", "out", "factors", "x", "weight", "qkv", "gate_up", "q_stride",
    "out_stride", "phi_stride", "head_size", "split_slots", "width", "inputs", "x_stride",
}  # fmt: skip


@dataclasses.dataclass
class Tile:
    lanes: int  # rows and heads; tokens of a prefix
    slots: int  # of one iteration
    num_warps: int = 4
    num_stages: int = 2


# For few spilled registers at a head size of 128, and the shared memory that every card of a target has: 99 KiB from
# sm_80 on, 227 KiB on sm_90 and sm_100. With S stages, S - 2 tiles are read while another one is computed.
DECODE = Tile(lanes=16, slots=32, num_stages=4)  # single rows
TEXT = Tile(lanes=32, slots=32, num_warps=8, num_stages=3)  # many rows of one sequence
PREFIX = Tile(lanes=128, slots=64, num_warps=8, num_stages=3)
# Tokens and outputs. One iteration takes so many bytes of each output's weights.
FEW_TOKENS = Tile(lanes=16, slots=32, num_stages=6), 128
MANY_TOKENS = Tile(lanes=128, slots=64, num_warps=8, num_stages=3), 64
ROW = 8, 1024  # outputs, inputs of one iteration
MAPS = Tile(lanes=GROUPS[-1], slots=64)
COMBINED = 16  # heads times splits that are added up at a time


@dataclasses.dataclass
class Variant:
    name: str
    function: object  # of triton.jit
    signature: dict[str, str]
    constants: dict[str, int]
    num_warps: int = 4
    num_stages: int = 2

    def attributes(self) -> dict[tuple[int, ...], list[list[object]]]:
        return {(i,): [["tt.divisibility", 16]] for i, name in enumerate(self.signature) if name in ALIGNED}

    def letters(self) -> Iterator[str]:
        """One of each argument, as KernelForm::arguments."""
        for name, kind in self.signature.items():
            letter = {"*": "p", "i": "i", "f": "f"}[kind[0]]
            yield letter.upper() if name in ALIGNED else letter


def variants() -> Iterator[Variant]:
    for dtype in TYPES:
        for size in HEAD_SIZES:
            yield from attention_variants(f"*{dtype}", f"{dtype}_d{size}", {"BD": size, "BS": BLOCK_SIZE})
        yield from layer_variants(f"*{dtype}", dtype)
        yield from quantized_variants(f"*{dtype}", dtype)
    yield Variant(
        "largest",
        layer_ops.largest,
        {"logits": "*fp32", "out": "*fp32", "vocabulary": "i32"},
        {"BLOCK": 8192},
        num_warps=16,
    )
    yield Variant(
        "leading_tokens",
        leading_tokens.leading_tokens,
        {"logits": "*fp32", "largest": "*fp32", "rows": "*i64", "temperatures": "*fp32"}
        | {"maxima": "*fp32", "blocks": "*i32", "leading": "*fp32"}
        | {"vocabulary": "i32", "least": "i32", "room": "i32"},
        {"BLOCK": 64, "BLOCKS": 32, "MAXIMA": 4096},
        num_warps=8,
    )


def attention_variants(pointer: str, suffix: str, shape: dict[str, int]) -> Iterator[Variant]:
    pool = {"q": pointer, "k_pool": pointer, "v_pool": pointer}
    for name, tile in (("decode", DECODE), ("text", TEXT)):
        yield Variant(
            f"attend_rows_{name}_{suffix}",
            row_attention.attend_rows,
            pool
            | {"phi": "*fp32"}
            | ROWS
            | {"tiles": "*i32"}
            | TABLES
            | {"partial": "*fp32", "stats": "*fp32", "q_stride": "i32", "phi_stride": "i32", "max_blocks": "i32"}
            | HEADS
            | {"split_slots": "i32", "layer": "i32", "scale": "fp32"},
            shape | {"M": tile.lanes, "N": tile.slots},
            num_warps=tile.num_warps,
            num_stages=tile.num_stages,
        )
    for group in GROUPS:
        yield Variant(
            f"combine_rows_g{group}_{suffix}",
            row_combination.combine_rows,
            {"partial": "*fp32", "stats": "*fp32"}
            | ROWS
            | {"out": pointer, "sums": "*fp32", "factors": "*fp32", "out_stride": "i32"}
            | HEADS
            | {"layer": "i32"},
            {"BD": shape["BD"], "GP": group, "SP": COMBINED // group},
        )
    yield Variant(
        f"attend_maps_{suffix}",
        attention_maps.attend_maps,
        {"q": pointer, "k_pool": pointer, "phi": "*fp32"}
        | ROWS
        | {"factors": "*fp32", "map_rows": "*i32", "map_flags": "*i8"}
        | TABLES
        | {"maps": "*fp32", "q_stride": "i32", "phi_stride": "i32", "max_blocks": "i32", "max_slots": "i32"}
        | HEADS
        | {"layer": "i32", "scale": "fp32"},
        shape | {"GP": MAPS.lanes, "N": MAPS.slots},
    )
    yield Variant(
        f"attend_prefix_{suffix}",
        prefix_attention.attend_prefix,
        pool
        | {"blocks": "*i64", "out": pointer, "q_stride": "i32", "out_stride": "i32", "count": "i32", "start": "i32"}
        | HEADS
        | {"scale": "fp32"},
        shape | {"M": PREFIX.lanes, "N": PREFIX.slots},
        num_warps=PREFIX.num_warps,
        num_stages=PREFIX.num_stages,
    )


def layer_variants(pointer: str, dtype: str) -> Iterator[Variant]:
    yield Variant(
        f"rms_norm_{dtype}",
        layer_ops.rms_norm,
        {"x": pointer, "weight": "*fp32", "out": pointer, "dimensions": "*i32", "slots": "*i64", "phi": "*fp32"}
        | {"width": "i32", "num_dimensions": "i32", "phi_stride": "i32", "eps": "fp32", "authors_eps": "fp32"},
        {"DIMENSIONS": 64, "BLOCK": 4096},
        num_warps=16,
    )
    for name, norm in (("rope_and_store", 0), ("norm_rope_and_store", 1)):
        yield Variant(
            f"{name}_{dtype}",
            layer_ops.rope_and_store,
            {"qkv": pointer, "q_norm": "*fp32", "k_norm": "*fp32", "cos": "*fp32", "sin": "*fp32", "slots": "*i64"}
            | {"k_pool": pointer, "v_pool": pointer}
            | HEADS
            | {"eps": "fp32"},
            {"NORM": norm, "HALF": 64, "BS": BLOCK_SIZE},
            num_warps=1,
        )
    yield Variant(
        f"multiply_row_{dtype}",
        linear_row.multiply_row,
        {"x": pointer, "weight": pointer, "bias": pointer, "out": pointer}
        | {"inputs": "i32", "outputs": "i32", "has_bias": "i32", "adds": "i32"},
        {"N": ROW[0], "BLOCK": ROW[1]},
    )
    yield Variant(
        f"multiply_gated_row_{dtype}",
        linear_row.multiply_gated_row,
        {"x": pointer, "weight": pointer, "out": pointer, "inputs": "i32", "outputs": "i32"},
        {"N": ROW[0] // 2, "BLOCK": ROW[1]},
    )
    yield Variant(
        f"silu_mul_{dtype}",
        layer_ops.silu_mul,
        {"gate_up": pointer, "out": pointer, "width": "i32"},
        {"BLOCK": 1024},
    )


def quantized_variants(pointer: str, dtype: str) -> Iterator[Variant]:
    stored = {"weight": "*u8", "scales": "*fp32", "zeros": "*u8"}
    for bits in (4, 8):
        for tokens, (tile, size) in (("few", FEW_TOKENS), ("many", MANY_TOKENS)):
            yield Variant(
                f"multiply_int{bits}_{tokens}_{dtype}",
                quantized_linear.multiply_quantized,
                {"x": pointer}
                | stored
                | {"bias": pointer, "out": pointer, "tokens": "i32", "inputs": "i32", "outputs": "i32"}
                | {"group": "i32", "x_stride": "i32", "has_bias": "i32", "adds": "i32"},
                {"BITS": bits, "M": tile.lanes, "N": tile.slots, "BYTES": size},
                num_warps=tile.num_warps,
                num_stages=tile.num_stages,
            )
        yield Variant(
            f"look_up_int{bits}_{dtype}",
            quantized_linear.look_up_quantized,
            {"ids": "*i64"} | stored | {"out": pointer, "inputs": "i32", "group": "i32"},
            {"BITS": bits, "BLOCK": 1024},
        )
