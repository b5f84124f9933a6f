"""Rows that PAI, VAF and SPIN change, in Triton's interpreter, against the slow reference."""

import dataclasses
import unittest

import numpy as np

from attention_world import AttentionWorld, Change, Result, Row, Shape
from kernel_test import SHAPES, KernelTest, last_row
from launch import run_rows
from variants import TEXT

PAI = {"change": Change.REWEIGH, "visual_boost": 0.5}
VAF = {"change": Change.REWEIGH, "visual_scale": 1.5, "text_scale": 0.5, "text_slots": 3}
SPIN = {"change": Change.SUPPRESS_HEADS, "kept_heads": 1, "suppressed_gain": 0.08}
OFF = {"first_layer": 1, "last_layer": 0}


def decode(world: AttentionWorld, rows: list[Row], **launch: int) -> Result:
    return run_rows(world, rows, world.queries(len(rows)), 1, **launch)


class RowChangesTest(KernelTest):
    def test_every_shape(self) -> None:
        for shape in SHAPES:
            with self.subTest(shape=shape):
                world = AttentionWorld(shape, [70, 50, 33])
                rows = [last_row(world, s, **method) for s, method in enumerate((PAI, VAF, SPIN))]
                result = self.check(world, rows)
                off = decode(world, [last_row(world, s, **OFF) for s in range(3)])
                self.assertGreater(np.abs(result.out - off.out).max(axis=(1, 2)).min(), 0.01, "every row is changed")

    def test_lengths_around_blocks_iterations_and_splits(self) -> None:
        for length in (1, 4, 16, 17, 33, 64, 65, 129):
            with self.subTest(length=length):
                world = AttentionWorld(Shape(2, 1, 64, "float32"), [length] * 3)
                self.check(world, [last_row(world, s, **method) for s, method in enumerate((PAI, VAF, SPIN))])

    def test_slots_without_a_token(self) -> None:
        world = AttentionWorld(Shape(4, 2, 64, "float32"), [90, 60, 40], with_empty=(0, 1, 2))
        self.check(world, [last_row(world, s, **method) for s, method in enumerate((PAI, VAF, SPIN))])

    def test_neutral_parameters_are_plain_attention_bit_for_bit(self) -> None:
        neutral = (
            {"change": Change.REWEIGH},
            {"change": Change.REWEIGH, "text_slots": 3},
            PAI | {"first_layer": 2},
            VAF | {"last_layer": 0},
            {"change": Change.SUPPRESS_HEADS, "kept_heads": 4, "suppressed_gain": 0.0},
            {"change": Change.SUPPRESS_HEADS, "kept_heads": 0, "suppressed_gain": 1.0},
            SPIN | {"first_layer": 2},
        )
        for dtype in ("float32", "bfloat16", "float16"):
            with self.subTest(dtype=dtype):
                world = AttentionWorld(Shape(4, 2, 64, dtype), [70] * len(neutral))
                result = decode(world, [last_row(world, s, **method) for s, method in enumerate(neutral)])
                off = decode(world, [last_row(world, s, **OFF) for s in range(len(neutral))])
                np.testing.assert_array_equal(result.out, off.out)
                np.testing.assert_array_equal(result.maps[:, :, 1], off.maps[:, :, 1])

    def test_rows_of_one_tile_differ_in_change(self) -> None:
        world = AttentionWorld(Shape(4, 2, 64, "float32"), [90])
        methods = ({}, PAI, SPIN, OFF, VAF, SPIN | {"kept_heads": 3}, PAI | {"first_layer": 2}, {"p": 1.0})
        rows = [Row(0, 83 + i, 83 + i, **method) for i, method in enumerate(methods)]
        together = self.check(world, rows, tile=TEXT, split_slots=32)
        for parity in (0, 1):
            some = [r if i % 2 == parity else dataclasses.replace(r, **OFF) for i, r in enumerate(rows)]
            result = decode(world, some, tile=TEXT, split_slots=32)
            np.testing.assert_array_equal(result.out[parity::2], together.out[parity::2], "neighbors change no bit")
            np.testing.assert_array_equal(result.sums[parity::2], together.sums[parity::2])
            np.testing.assert_array_equal(result.maps[parity::2], together.maps[parity::2])

    def test_scores_that_become_far_larger(self) -> None:
        world = AttentionWorld(Shape(4, 2, 64, "float32"), [150, 150])
        world.k *= 4
        rows = [last_row(world, 0, **(PAI | {"visual_boost": 10.0})), last_row(world, 1, **(VAF | {"visual_scale": 0}))]
        result = self.check(world, rows)
        self.assertTrue(((result.sums[:, :, 2] > 0) & (result.sums[:, :, 2] < 2)).all(), "attention before is a share")


class HeadsTest(KernelTest):
    def test_every_number_of_kept_heads(self) -> None:
        world = AttentionWorld(Shape(6, 2, 64, "float32"), [40] * 7)
        result = self.check(world, [last_row(world, s, **(SPIN | {"kept_heads": s})) for s in range(7)])
        np.testing.assert_array_equal(result.sums[:, :, 0].sum(1), 6 - np.arange(7))

    def test_of_equal_heads_the_first_are_kept(self) -> None:
        world = AttentionWorld(Shape(6, 3, 64, "float32"), [40])
        row = last_row(world, 0, **(SPIN | {"kept_heads": 3}))
        result = run_rows(world, [row], np.zeros((1, 6, 64)), 1)
        np.testing.assert_array_equal(result.sums[0, :, 0], [0, 1, 2])

    def test_more_heads_than_are_ranked_at_a_time(self) -> None:
        world = AttentionWorld(Shape(72, 6, 64, "float32"), [20])
        self.check(world, [last_row(world, 0, **(SPIN | {"kept_heads": 40}))])


if __name__ == "__main__":
    unittest.main()
