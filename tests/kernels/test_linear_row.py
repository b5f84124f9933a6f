"""The linear layer of one row, in Triton's interpreter, against NumPy."""

import itertools
import unittest

import numpy as np

from device_array import TYPES, DeviceArray, rounded
from linear_row import multiply_gated_row, multiply_row


class MultiplyRowTest(unittest.TestCase):
    def test_every_shape(self) -> None:
        shapes = ((64, 8), (320, 33), (144, 3))  # inputs, outputs
        for shape, dtype in itertools.product(shapes, TYPES):
            with self.subTest(shape=shape, dtype=dtype):
                self.check(*shape, dtype)

    def check(self, inputs: int, outputs: int, dtype: str) -> None:
        random = np.random.default_rng(inputs)
        x, weight = (rounded(random.normal(size=size), dtype) for size in (inputs, (outputs, inputs)))
        bias, before = (rounded(random.normal(size=outputs), dtype) for _ in range(2))
        product = weight.astype(np.float64) @ x.astype(np.float64)
        for has_bias, adds in ((0, 0), (1, 0), (0, 1), (1, 1)):
            out = DeviceArray(before if adds else np.full_like(before, np.nan), dtype)
            multiply_row[(-(-outputs // 8),)](
                DeviceArray(x, dtype), DeviceArray(weight, dtype), DeviceArray(bias, dtype), out, inputs, outputs,
                has_bias, adds, N=8, BLOCK=128,
            )  # fmt: skip
            expected = product + has_bias * bias + adds * before
            tolerance = TYPES[dtype]
            np.testing.assert_allclose(out.numpy(), expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())

    def test_gated(self) -> None:
        random = np.random.default_rng(1)
        for (inputs, outputs), (dtype, tolerance) in itertools.product(((64, 8), (144, 6)), TYPES.items()):
            with self.subTest(inputs=inputs, outputs=outputs, dtype=dtype):
                x, weight = (rounded(random.normal(size=size), dtype) for size in (inputs, (2 * outputs, inputs)))
                gate, up = np.split(weight.astype(np.float64) @ x.astype(np.float64), 2)
                out = DeviceArray(np.full(outputs, np.nan), dtype)
                multiply_gated_row[(-(-outputs // 4),)](
                    DeviceArray(x, dtype), DeviceArray(weight, dtype), out, inputs, outputs, N=4, BLOCK=128
                )
                expected = gate / (1 + np.exp(-gate)) * up
                atol = tolerance * np.abs(expected).max()
                np.testing.assert_allclose(out.numpy(), expected, rtol=tolerance, atol=atol)


if __name__ == "__main__":
    unittest.main()
