"""Time of decoding attention and of a linear layer of one row, a layer of the 7B, with other tiles than those compiled
ahead of time: which should kernels/variants.py name? Triton, which torch brings along, compiles them here."""

import importlib.util
import itertools
import os
import sys

from step import ROOT, Settings, row, settings

sys.path.append(str(ROOT / "server" / "backend" / "cuda" / "kernels"))
HEADS, SIZE = 32, 128
SLOTS, VISUAL = 704, 576  # of a sequence
TILES = ((32, 4, 2), (32, 4, 3), (32, 4, 4), (32, 8, 4), (64, 4, 3), (64, 8, 3), (64, 8, 4))  # slots, warps, stages
SPLITS = (128, 256)  # slots
ROWS = ((4, 1024, 4), (8, 1024, 4), (16, 1024, 4), (8, 2048, 8))  # outputs, inputs of an iteration, warps


class World:
    """The tables of kernels/row_attention.py for a step of decoding sequences that all have VAR, on a device."""

    def __init__(self, device: str, sequences: int, slots: int, split: int) -> None:
        import torch

        from variants import BLOCK_SIZE

        def table(values: list, dtype: torch.dtype) -> torch.Tensor:
            return torch.tensor(values, dtype=dtype, device=device)

        self.sequences, self.slots, self.split, self.blocks_each = sequences, slots, split, slots // BLOCK_SIZE
        self.splits_each = -(-slots // split)
        rows = range(sequences)
        ints = [(s, slots, VISUAL, 0, 31, 0, split, s * self.splits_each, 0, 0, 0) for s in rows]
        self.ints = table(ints, torch.int32)
        self.floats = table([(20.0, 0.8, 0.6, 0.2, 1.0, 0.0, 1.0, 1.0) for _ in rows], torch.float32)
        self.tiles = table([(s, 1) for s in rows], torch.int32)
        count = sequences * self.blocks_each
        self.blocks = torch.randperm(count, device=device).to(torch.int32)
        self.empty = table([(0, 0) for _ in rows], torch.int32)
        self.visual = table([[slot < VISUAL for slot in range(slots)] for _ in rows], torch.int8)
        shape = (count, HEADS, BLOCK_SIZE, SIZE)
        self.k, self.v = (torch.randn(shape, dtype=torch.bfloat16, device=device) for _ in range(2))
        self.phi = 30 * torch.rand((2, count * BLOCK_SIZE), device=device)
        self.q = torch.randn((sequences, HEADS, SIZE), dtype=torch.bfloat16, device=device)
        self.partial = torch.empty((sequences * self.splits_each, HEADS, 3, SIZE), device=device)
        self.stats = torch.empty((sequences * self.splits_each, HEADS, 8), device=device)
        self.out = torch.empty_like(self.q)
        self.sums = torch.empty((sequences, HEADS, 4), device=device)
        self.factors = torch.empty((sequences, HEADS, 6), device=device)

    def attend(self, slots: int, warps: int, stages: int) -> None:
        from row_attention import attend_rows
        from variants import BLOCK_SIZE, DECODE

        attend_rows[(self.sequences, HEADS, self.splits_each)](
            self.q, self.k, self.v, self.phi, self.ints, self.floats, self.tiles, self.blocks, self.empty, self.visual,
            self.partial, self.stats, HEADS * SIZE, self.phi.stride(0), self.blocks_each, HEADS, HEADS, SIZE,
            self.split, 1, SIZE**-0.5,
            BD=SIZE, BS=BLOCK_SIZE, M=DECODE.lanes, N=slots, num_warps=warps, num_stages=stages,
        )  # fmt: skip

    def combine(self) -> None:
        from row_combination import combine_rows
        from variants import COMBINED

        combine_rows[(self.sequences, HEADS)](
            self.partial, self.stats, self.ints, self.floats, self.out, self.sums, self.factors,
            HEADS * SIZE, HEADS, HEADS, SIZE, 1, BD=SIZE, GP=1, SP=COMBINED,
        )  # fmt: skip


class Row:
    """One row and more matrices [11008, 4096] than caches hold; fewer and smaller ones to try it."""

    def __init__(self, device: str, count: int, outputs: int, inputs: int) -> None:
        import torch

        self.x = torch.randn((1, inputs), device=device).bfloat16()
        self.matrices = torch.randn((count, outputs, inputs), device=device).bfloat16()
        self.out = torch.empty((1, outputs), dtype=torch.bfloat16, device=device)

    def multiply(self, outputs: int, inputs: int, warps: int) -> None:
        from linear_row import multiply_row

        _, rows, columns = self.matrices.shape
        for matrix in self.matrices:
            multiply_row[(-(-rows // outputs),)](
                self.x, matrix, self.x, self.out, columns, rows, 0, 0, N=outputs, BLOCK=inputs, num_warps=warps
            )

    def bytes_per_millisecond(self, milliseconds: float) -> float:
        return 2 * self.matrices.numel() / milliseconds


def measure_rows(s: Settings) -> None:
    from triton.testing import do_bench

    world = Row(s.device, 16, 11008, 4096)
    for tile in ROWS:
        read = world.bytes_per_millisecond(do_bench(lambda: world.multiply(*tile), warmup=5, rep=30))  # noqa: B023
        row("one row: {} outputs, {} inputs, {} warps".format(*tile), read / 1e6, "GB/s")


def measure(s: Settings) -> None:
    from triton.testing import do_bench

    for sequences, split in itertools.product((1, 32), SPLITS):
        world = World(s.device, sequences, SLOTS, split)
        name = f"{sequences} of {SLOTS} slots in splits of {split}"
        for slots, warps, stages in TILES:
            milliseconds = do_bench(lambda: world.attend(slots, warps, stages), warmup=5, rep=30)  # noqa: B023 (called now)
            row(f"{name}: {slots} slots, {warps} warps, {stages} stages", 1e3 * milliseconds, "us")
        row(f"{name}: combine", 1e3 * do_bench(world.combine, warmup=5, rep=30), "us")


def main() -> None:
    s = settings()
    if s.device == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"
    if importlib.util.find_spec("triton") is None:
        row("left out", "Triton is not installed")
    elif s.device == "cpu":  # tries it
        world = World("cpu", 1, 32, 16)
        world.attend(16, 4, 1)
        world.combine()
        row("finite", str(bool(world.out.isfinite().all() and world.sums.isfinite().all())))
        one = Row("cpu", 1, 12, 64)
        one.multiply(8, 64, 4)
        row("one row is right", str(bool((one.out - one.x @ one.matrices[0].T).abs().max() < 0.1)))
    else:
        measure_rows(s)
        measure(s)


if __name__ == "__main__":
    main()
