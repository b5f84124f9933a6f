"""What tests of the attention kernels share: shapes, and the comparison with the slow reference."""

import unittest

import numpy as np

from attention_world import AttentionWorld, Result, Row, Shape
from launch import run_rows
from variants import Tile

# Head counts, GQA, sizes that are no power of two, types.
SHAPES = [
    Shape(4, 4, 64, "float32"),
    Shape(6, 2, 80, "float32"),
    Shape(3, 3, 96, "float32"),
    Shape(8, 1, 128, "float32"),
    Shape(14, 2, 64, "bfloat16"),
    Shape(4, 2, 96, "float16"),
    Shape(2, 2, 128, "bfloat16"),
]
# Weights are rounded to the pool's type before they meet the values.
TOLERANCE = {"float32": 2e-6, "bfloat16": 2e-2, "float16": 2e-3}
# Sums of attention are float32 whatever the pool's type.
SUMS_TOLERANCE = 2e-5


def last_row(world: AttentionWorld, sequence: int, **settings: object) -> Row:
    return Row(sequence, world.lengths[sequence], world.lengths[sequence], **settings)


class KernelTest(unittest.TestCase):
    def check(self, world: AttentionWorld, rows: list[Row], layer: int = 1, **launch: Tile | int) -> Result:
        queries = world.queries(len(rows))
        expected = world.reference(rows, queries, layer)
        actual = run_rows(world, rows, queries, layer, **launch)
        tolerance = TOLERANCE[world.shape.dtype]
        np.testing.assert_allclose(actual.out, expected.out, atol=tolerance, rtol=tolerance)
        np.testing.assert_allclose(actual.sums, expected.sums, atol=SUMS_TOLERANCE)
        np.testing.assert_allclose(actual.maps, expected.maps, atol=SUMS_TOLERANCE)
        return actual
