"""The kernels between matrix products, in Triton's interpreter, against NumPy."""

import unittest

import numpy as np

from attention_world import BLOCK_SIZE
from device_array import TYPES, DeviceArray, rounded
from layer_ops import rms_norm, rope_and_store, silu_mul


def normal(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    return rounded(np.random.default_rng(seed).normal(size=shape), dtype)


class RmsNormTest(unittest.TestCase):
    def test_norm_and_phi(self) -> None:
        for dtype, tolerance in TYPES.items():
            for width in (64, 192, 1100):
                for dimensions in ([], [3], [3, 17, 60]):
                    with self.subTest(dtype=dtype, width=width, dimensions=dimensions):
                        self.check(dtype, tolerance, width, dimensions)

    def check(self, dtype: str, tolerance: float, width: int, dimensions: list[int]) -> None:
        tokens, eps, authors_eps, pool = 3, 1e-2, 1e-6, 64
        x = normal((tokens, width), dtype)
        x[1, 3] = 50.0
        weight = normal((width,), "float32", seed=1)
        slots = np.array([40, 7, 63])
        out = DeviceArray(np.zeros((tokens, width)), dtype)
        phi = DeviceArray(np.full((2, pool), -1, np.float32))
        rms_norm[(tokens,)](
            DeviceArray(x, dtype), DeviceArray(weight.astype(np.float32)), out,
            DeviceArray(np.array([*dimensions, 0], np.int32)), DeviceArray(slots), phi,
            width, len(dimensions), pool, eps, authors_eps, DIMENSIONS=8, BLOCK=1024,
        )  # fmt: skip
        mean_square = (x**2).mean(1)
        expected = x / np.sqrt(mean_square + eps)[:, None] * weight
        np.testing.assert_allclose(out.numpy(), expected, atol=tolerance, rtol=tolerance)
        measured = np.full((2, pool), -1.0)
        if dimensions:
            largest = np.abs(x[:, dimensions]).max(1)
            measured[0, slots] = largest / np.sqrt(mean_square + eps)
            measured[1, slots] = largest / np.sqrt(mean_square + authors_eps)
        np.testing.assert_allclose(phi.numpy(), measured, rtol=2e-6)


class RopeAndStoreTest(unittest.TestCase):
    def test_rotates_and_stores(self) -> None:
        for dtype, tolerance in TYPES.items():
            for heads, kv_heads, size in ((2, 2, 64), (6, 2, 80), (4, 1, 96), (2, 1, 128)):
                with self.subTest(dtype=dtype, heads=heads, kv_heads=kv_heads, size=size):
                    self.check(dtype, tolerance, heads, kv_heads, size)

    def check(self, dtype: str, tolerance: float, heads: int, kv_heads: int, size: int) -> None:
        slots = np.array([5, 16, 47])
        tokens, half = len(slots), size // 2
        qkv = normal((tokens, heads + 2 * kv_heads, size), dtype)
        angle = np.random.default_rng(2).normal(size=(tokens, half))
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        device = DeviceArray(qkv, dtype)
        pool = (3, kv_heads, BLOCK_SIZE, size)
        k, v = DeviceArray(np.zeros(pool), dtype), DeviceArray(np.zeros(pool), dtype)
        rope_and_store[(tokens, heads + 2 * kv_heads)](
            device, DeviceArray(cos), DeviceArray(cos), DeviceArray(cos), DeviceArray(sin), DeviceArray(slots), k, v,
            heads, kv_heads, size, 0.0, NORM=0, HALF=64, BS=BLOCK_SIZE,
        )  # fmt: skip
        low, high = qkv[..., :half], qkv[..., half:]
        c, s = cos[:, None].astype(float), sin[:, None].astype(float)
        rotated = np.concatenate([low * c - high * s, high * c + low * s], axis=-1)
        np.testing.assert_allclose(device.numpy()[:, :heads], rotated[:, :heads], atol=tolerance, rtol=tolerance)
        expected_k, expected_v = np.zeros(pool), np.zeros(pool)
        expected_k[slots // BLOCK_SIZE, :, slots % BLOCK_SIZE] = rotated[:, heads : heads + kv_heads]
        expected_v[slots // BLOCK_SIZE, :, slots % BLOCK_SIZE] = qkv[:, heads + kv_heads :]
        np.testing.assert_allclose(k.numpy(), expected_k, atol=tolerance, rtol=tolerance)
        np.testing.assert_array_equal(v.numpy(), expected_v)


class SiluMulTest(unittest.TestCase):
    def test_silu_mul(self) -> None:
        for dtype, tolerance in TYPES.items():
            with self.subTest(dtype=dtype):
                tokens, width = 3, 1100
                gate_up = normal((tokens, 2 * width), dtype)
                out = DeviceArray(np.zeros((tokens, width)), dtype)
                silu_mul[(tokens, 2)](DeviceArray(gate_up, dtype), out, width, BLOCK=1024)
                gate, up = gate_up[:, :width], gate_up[:, width:]
                np.testing.assert_allclose(out.numpy(), gate / (1 + np.exp(-gate)) * up, atol=tolerance, rtol=tolerance)


if __name__ == "__main__":
    unittest.main()
