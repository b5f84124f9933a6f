"""The recipe's arithmetic, on small made-up weights."""

import tempfile
import unittest
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from recipe.smollm2 import _unpermute
from recipe.trained_part import DECODER, LORA_B, SCALE, TOWER, TrainedPart, read_trained_part

MODULE = "model.layers.0.self_attn.q_proj"


def lora(rank: int, rows: int, columns: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        f"language_model.{MODULE}.lora_A.weight": rng.normal(size=(rank, columns)).astype(np.float16),
        f"language_model.{MODULE}.lora_B.weight": rng.normal(size=(rows, rank)).astype(np.float16),
    }


class MergeTest(unittest.TestCase):
    def test_adds_the_scaled_product(self) -> None:
        tensors = lora(rank=4, rows=6, columns=8)
        weight = np.ones((6, 8), np.float32)
        merged = TrainedPart(224, 8.0, [-1], tensors).merge(
            DECODER, {f"{MODULE}.weight": weight, "model.norm.weight": weight[0]}
        )
        a, b = (tensors[f"language_model.{MODULE}.lora_{which}.weight"].astype(np.float32) for which in "AB")
        np.testing.assert_allclose(merged[f"{MODULE}.weight"], weight + 8.0 / 4 * b @ a, rtol=1e-6)
        np.testing.assert_array_equal(merged["model.norm.weight"], weight[0])

    def test_leaves_other_networks_updates_alone(self) -> None:
        part = TrainedPart(224, 8.0, [-1], lora(rank=4, rows=6, columns=8))
        weights = {f"{MODULE}.weight": np.ones((6, 8), np.float32)}
        np.testing.assert_array_equal(part.merge(TOWER, weights)[f"{MODULE}.weight"], weights[f"{MODULE}.weight"])

    def test_refuses_an_update_of_another_shape(self) -> None:
        part = TrainedPart(224, 8.0, [-1], lora(rank=4, rows=6, columns=8))
        with self.assertRaisesRegex(ValueError, "does not fit"):
            part.merge(DECODER, {f"{MODULE}.weight": np.ones((6, 9), np.float32)})

    def test_refuses_an_update_of_an_unknown_module(self) -> None:
        part = TrainedPart(224, 8.0, [-1], lora(rank=4, rows=6, columns=8))
        with self.assertRaisesRegex(ValueError, MODULE):
            part.merge(DECODER, {})


class ReadTest(unittest.TestCase):
    def test_reads_what_was_written(self) -> None:
        tensors = lora(rank=2, rows=3, columns=5)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trained.safetensors"
            save_file(tensors, path, {"image_size": "140", "lora_alpha": "32", "vision_feature_layer": "[-4, -1]"})
            part = read_trained_part(path)
        self.assertEqual((part.image_size, part.lora_alpha, part.vision_feature_layer), (140, 32.0, [-4, -1]))
        self.assertEqual(part.tensors.keys(), tensors.keys())

    def test_reads_steps_as_what_they_stand_for(self) -> None:
        rng = np.random.default_rng(0)
        shapes = {name: value.shape for name, value in lora(rank=2, rows=3, columns=5).items()}
        shapes["multi_modal_projector.linear_1.weight"] = (3, 4)
        stored, weights = {}, {}
        for name, shape in shapes.items():
            steps = rng.integers(-127, 128, shape, np.int8)
            scale = rng.uniform(0.001, 0.1, shape[1] if name.endswith(LORA_B) else shape[0]).astype(np.float16)
            stored |= {name: steps, name + SCALE: scale}
            wide = scale.astype(np.float32)
            weights[name] = steps * (wide if name.endswith(LORA_B) else wide[:, None])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trained.safetensors"
            save_file(stored, path, {"image_size": "140", "lora_alpha": "32", "vision_feature_layer": "[-4, -1]"})
            part = read_trained_part(path)
        self.assertEqual(part.tensors.keys(), weights.keys())
        for name, weight in weights.items():
            np.testing.assert_array_equal(part.tensors[name], weight, name)

    def test_names_missing_metadata(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trained.safetensors"
            save_file(lora(rank=2, rows=3, columns=5), path)
            with self.assertRaisesRegex(ValueError, "image_size"):
                read_trained_part(path)


class UnpermuteTest(unittest.TestCase):
    def test_undoes_the_interleaving_of_each_head(self) -> None:
        heads, head_dim, columns = 3, 8, 5
        weight = np.arange(heads * head_dim * columns, dtype=np.float32).reshape(heads * head_dim, columns)
        halves = weight.reshape(heads, 2, head_dim // 2, columns)
        interleaved = np.stack([halves[:, 0], halves[:, 1]], axis=2).reshape(weight.shape)  # as llama.cpp stores it
        np.testing.assert_array_equal(_unpermute(interleaved, heads), weight)


if __name__ == "__main__":
    unittest.main()
