"""The attention kernels with VAR, in Triton's interpreter, against the slow reference."""

import dataclasses
import unittest

import numpy as np

from attention_world import AttentionWorld, Change, Row, Shape
from kernel_test import SHAPES, TOLERANCE, KernelTest, last_row
from launch import run_prefix, run_rows
from variants import DECODE, TEXT


class DecodeTest(KernelTest):
    def test_every_shape(self) -> None:
        for shape in SHAPES:
            with self.subTest(shape=shape):
                world = AttentionWorld(shape, [70, 33])
                result = self.check(world, [last_row(world, 0, rho=0.3), last_row(world, 1, rho=0.3)])
                self.assertGreater(result.sums[:, :, 1].min(), 0, "VAR acts")

    def test_lengths_around_blocks_iterations_and_splits(self) -> None:
        for length in (1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129):
            with self.subTest(length=length):
                world = AttentionWorld(Shape(2, 1, 64, "float32"), [length])
                self.check(world, [last_row(world, 0)])

    def test_split_does_not_matter(self) -> None:
        world = AttentionWorld(Shape(4, 2, 64, "float32"), [300])
        for split_slots in (64, 128, 512):
            with self.subTest(split_slots=split_slots):
                self.check(world, [last_row(world, 0)], split_slots=split_slots)

    def test_settings_side_by_side(self) -> None:
        world = AttentionWorld(Shape(4, 2, 64, "float32"), [90, 50, 66, 20, 90, 40, 33, 80, 70, 36])
        rows = [
            last_row(world, 0),
            last_row(world, 1, p=0.0),
            last_row(world, 2, first_layer=1, last_layer=0),
            last_row(world, 3, rho=0.9, min_visual_attention=0.5),
            last_row(world, 4, authors_code=True, rho=0.5, p=0.4),
            last_row(world, 5, first_layer=2),
            last_row(world, 6, tau=1.0),
            last_row(world, 7, change=Change.REWEIGH, visual_boost=0.5),
            last_row(world, 8, change=Change.REWEIGH, visual_scale=1.5, text_scale=0.5, text_slots=3),
            last_row(world, 9, change=Change.SUPPRESS_HEADS, kept_heads=1, suppressed_gain=0.1),
        ]
        rows[4].sink_slots = 30
        together = self.check(world, rows)
        queries = world.queries(len(rows))
        for r, row in enumerate(rows):
            alone = run_rows(world, [row], queries[r : r + 1], 1)
            np.testing.assert_array_equal(alone.out[0], together.out[r], f"row {r}: alone is as in the batch")
            np.testing.assert_array_equal(alone.sums[0], together.sums[r])
            np.testing.assert_array_equal(alone.maps[0], together.maps[r])

    def test_no_sinks_and_only_sinks(self) -> None:
        for sinks in (0.0, 1.0):
            with self.subTest(sinks=sinks):
                world = AttentionWorld(Shape(4, 2, 64, "float32"), [80], sinks=sinks)
                for authors_code in (False, True):
                    result = self.check(world, [last_row(world, 0, authors_code=authors_code)])
                    self.assertEqual(result.sums[:, :, 1].max(), 0, "there is nothing to move, or nowhere to move it")

    def test_p_zero_is_plain_attention_bit_for_bit(self) -> None:
        world = AttentionWorld(Shape(4, 2, 64, "bfloat16"), [100])
        observe = self.check(world, [last_row(world, 0, p=0.0)])
        off = self.check(world, [last_row(world, 0, first_layer=1, last_layer=0)])
        np.testing.assert_array_equal(observe.out, off.out)
        self.assertEqual(off.sums.max(), 0)


class TextRowsTest(KernelTest):
    def rows(self, world: AttentionWorld, sequence: int, count: int, **settings: object) -> list[Row]:
        length = world.lengths[sequence]
        return [Row(sequence, n, n, **settings) for n in range(length - count + 1, length + 1)]

    def test_tiles_of_rows(self) -> None:
        for shape in (Shape(4, 2, 64, "float32"), Shape(6, 2, 80, "bfloat16")):
            for tile in (DECODE, TEXT):
                with self.subTest(shape=shape, tile=tile):
                    world = AttentionWorld(shape, [90, 40])
                    rows = self.rows(world, 0, 37) + self.rows(world, 1, 3, p=1.0)
                    self.check(world, rows, tile=tile, split_slots=64)

    def test_rows_of_one_tile_differ_in_settings(self) -> None:
        world = AttentionWorld(Shape(4, 4, 64, "float32"), [90])
        rows = self.rows(world, 0, 6)
        rows[1] = dataclasses.replace(rows[1], authors_code=True, sink_slots=20)
        rows[2] = dataclasses.replace(rows[2], tau=1.0)
        rows[3] = dataclasses.replace(rows[3], p=0.0)
        self.check(world, rows, tile=TEXT)

    def test_slots_without_a_token(self) -> None:
        world = AttentionWorld(Shape(4, 2, 64, "float32"), [90, 60], with_empty=(0,))
        self.check(world, self.rows(world, 0, 10) + self.rows(world, 1, 2), tile=TEXT)


class PrefixTest(unittest.TestCase):
    def test_chunks(self) -> None:
        for shape in SHAPES:
            for start, count in ((0, 70), (64, 30), (1, 1)):
                with self.subTest(shape=shape, start=start, count=count):
                    world = AttentionWorld(shape, [start + count])
                    queries = world.queries(count)
                    rows = [Row(0, start + i + 1, 0, first_layer=1, last_layer=0) for i in range(count)]
                    expected = world.reference(rows, queries, layer=0)
                    tolerance = TOLERANCE[shape.dtype]
                    actual = run_prefix(world, queries, start)
                    np.testing.assert_allclose(actual, expected.out, atol=tolerance, rtol=tolerance)


if __name__ == "__main__":
    unittest.main()
