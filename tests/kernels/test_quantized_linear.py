"""The kernels of quantized weights, in Triton's interpreter, against NumPy."""

import itertools
import unittest

import numpy as np

from device_array import TYPES, DeviceArray, rounded
from interpreter import multiply_bfloat16
from quantized_linear import look_up_quantized, multiply_quantized

multiply_bfloat16()


class Matrix:
    """A random one: codes [O, K], scales and zeros [O, G]."""

    def __init__(self, outputs: int, inputs: int, group: int, bits: int) -> None:
        random = np.random.default_rng(outputs + inputs)
        self.bits, self.group = bits, group
        self.codes = random.integers(0, 1 << bits, (outputs, inputs), np.uint8)
        self.scales = random.uniform(0.01, 0.1, (outputs, inputs // group)).astype(np.float32)
        self.zeros = random.integers(0, 1 << bits, self.scales.shape, np.uint8)

    def weights(self, dtype: str) -> np.ndarray:
        zeros, scales = (np.repeat(part, self.group, axis=1) for part in (self.zeros, self.scales))
        return rounded((self.codes.astype(np.float32) - zeros) * scales, dtype)

    def stored(self) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
        half = self.codes.shape[1] // 2
        packed = self.codes if self.bits == 8 else self.codes[:, :half] | self.codes[:, half:] << 4
        return DeviceArray(packed), DeviceArray(self.scales), DeviceArray(self.zeros)


class MultiplyTest(unittest.TestCase):
    def test_every_shape(self) -> None:
        shapes = ((1, 320, 40, 64), (19, 192, 33, 32), (2, 512, 16, 128))  # tokens, inputs, outputs, group
        for bits, shape, dtype in itertools.product((4, 8), shapes, TYPES):
            with self.subTest(bits=bits, shape=shape, dtype=dtype):
                self.check(bits, *shape, dtype)

    def check(self, bits: int, tokens: int, inputs: int, outputs: int, group: int, dtype: str) -> None:
        random = np.random.default_rng(1)
        matrix = Matrix(outputs, inputs, group, bits)
        wide = rounded(random.normal(size=(tokens, inputs + 16)), dtype)  # rows are further apart than they are long
        bias, before = (rounded(random.normal(size=size), dtype) for size in (outputs, (tokens, outputs)))
        product = wide[:, :inputs].astype(np.float64) @ matrix.weights(dtype).T.astype(np.float64)
        for has_bias, adds in ((0, 0), (1, 0), (0, 1)):
            out = DeviceArray(before if adds else np.full_like(before, np.nan), dtype)
            multiply_quantized[(-(-tokens // 16), -(-outputs // 32))](
                DeviceArray(wide, dtype), *matrix.stored(), DeviceArray(bias, dtype), out, tokens, inputs, outputs,
                group, inputs + 16, has_bias, adds, BITS=bits, M=16, N=32, BYTES=128,
            )  # fmt: skip
            expected = product + has_bias * bias + adds * before
            tolerance = TYPES[dtype]
            np.testing.assert_allclose(out.numpy(), expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


class LookUpTest(unittest.TestCase):
    def test_rows(self) -> None:
        ids = np.array([7, 49, 0, 7])
        for bits, (dtype, tolerance) in itertools.product((4, 8), TYPES.items()):
            matrix = Matrix(50, 192, 32, bits)
            out = DeviceArray(np.zeros((4, 192)), dtype)
            look_up_quantized[(4, 3)](DeviceArray(ids), *matrix.stored(), out, 192, 32, BITS=bits, BLOCK=64)
            np.testing.assert_allclose(out.numpy(), matrix.weights(dtype)[ids], rtol=tolerance)


if __name__ == "__main__":
    unittest.main()
