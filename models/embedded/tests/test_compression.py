"""More important values are rounded to finer steps."""

import unittest

import numpy as np

from recipe.trained_part import SCALE, line_axis
from training.compression import MOST_STEPS, rounded

A = "language_model.model.layers.0.mlp.up_proj.lora_A.weight"
B = "language_model.model.layers.0.mlp.up_proj.lora_B.weight"
BIAS = "multi_modal_projector.linear_1.bias"


class RoundedTest(unittest.TestCase):
    def setUp(self) -> None:
        rng = np.random.default_rng(0)
        self.values = {A: rng.normal(size=(4, 50)), B: rng.normal(size=(60, 4)), BIAS: rng.normal(size=7)}
        self.values = {name: value.astype(np.float32) for name, value in self.values.items()}
        self.minded = {name: np.array([1e-4, 1e-3, 1e-2, 1e-1], np.float32) for name in (A, B)}

    def restored(self, tensors: dict[str, np.ndarray], name: str) -> np.ndarray:
        return tensors[name] * np.expand_dims(tensors[name + SCALE].astype(np.float32), line_axis(name))

    def test_each_number_is_at_most_half_a_step_off(self) -> None:
        tensors = rounded(self.values, self.minded, c=3e-3)
        for name in (A, B):
            self.assertEqual(tensors[name].dtype, np.int8)
            off = np.abs(self.restored(tensors, name) - self.values[name]).max(axis=line_axis(name))
            step = tensors[name + SCALE].astype(np.float32)
            # Rounding to f16 may make the step smaller than the finest one that int8 allows.
            np.testing.assert_array_less(off, np.where(tensors[name + SCALE] < 0.02, 0.6, 0.5001) * step)
        np.testing.assert_array_equal(tensors[BIAS], self.values[BIAS].astype(np.float16))

    def test_all_lines_add_alike_to_the_loss(self) -> None:
        tensors = rounded(self.values, self.minded, c=3e-3)
        for name in (A, B):
            step = tensors[name + SCALE].astype(np.float32)
            expected = 3e-3 / np.sqrt(self.minded[name])
            free = expected > np.abs(self.values[name]).max(axis=line_axis(name)) / MOST_STEPS
            self.assertGreater(free.sum(), 1)
            np.testing.assert_allclose(step[free], expected[free], rtol=1e-3)

    def test_what_does_not_matter_keeps_its_largest_numbers(self) -> None:
        minded = {name: np.zeros(4, np.float32) for name in (A, B)}
        tensors = rounded(self.values, minded, c=1.0)
        for name in (A, B):
            self.assertTrue((np.abs(tensors[name]).max(axis=line_axis(name)) == 1).all())


if __name__ == "__main__":
    unittest.main()
