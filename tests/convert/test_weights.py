"""Every original tensor is in the converted directory once, element for element, by the original code's own words."""

import pathlib
import tempfile
import unittest

import numpy as np

from directories import Tensors, convert, load_all, write_original

HEADS, KV_HEADS, HEAD_DIM = 6, 2, 16


def write_both(folder: pathlib.Path, name: str, shards: int) -> tuple[Tensors, Tensors]:
    write_original(folder / name, name, shards)
    status, errors = convert(folder / name, folder / "converted")
    if status:
        raise AssertionError(errors)
    return load_all(folder / name), load_all(folder / "converted")


class Weights(unittest.TestCase):
    def check(self, name: str, shards: int) -> tuple[Tensors, Tensors]:
        with tempfile.TemporaryDirectory() as folder:
            old, new = write_both(pathlib.Path(folder), name, shards)
        self.assertEqual(sum(tensor.size for tensor in old.values()), sum(tensor.size for tensor in new.values()))
        rows = {row.tobytes() for tensor in new.values() for row in tensor.reshape(tensor.shape[0], -1)}
        for original, tensor in old.items():
            for row in tensor.reshape(tensor.shape[0], -1):
                self.assertIn(row.tobytes(), rows, original)
        self.check_tower(old, new)
        return old, new

    def check_tower(self, old: Tensors, new: Tensors) -> None:
        """InternAttention: qkv(x).reshape(B, N, 3, heads, head_dim).permute(2, 0, 3, 1, 4).unbind(0)"""
        for i in range(2):
            source, target = f"vision_model.encoder.layers.{i}", f"vision_tower.encoder.layer.{i}"
            for kind in ("weight", "bias"):
                fused = old.get(f"{source}.attn.qkv.{kind}")
                parts = [new.get(f"{target}.attention.{part}_proj.{kind}") for part in "qkv"]
                if fused is None:
                    self.assertEqual(parts, [None] * 3)
                else:
                    np.testing.assert_array_equal(fused.reshape(3, 32, -1), np.stack(parts).reshape(3, 32, -1))
            for name, renamed in (
                ("norm1.weight", "layernorm_before.weight"),
                ("norm2.weight", "layernorm_after.weight"),
                ("ls1", "lambda_1"),
                ("ls2", "lambda_2"),
                ("attn.proj.bias", "attention.projection_layer.bias"),
                ("mlp.fc1.weight", "mlp.fc1.weight"),
                ("mlp.fc2.weight", "mlp.fc2.weight"),
            ):
                np.testing.assert_array_equal(old[f"{source}.{name}"], new[f"{target}.{renamed}"])

    def test_internlm2(self) -> None:
        old, new = self.check("internlm2", shards=3)
        x = np.random.default_rng(1).normal(size=(5, 96)).astype(np.float32)
        for i in range(2):
            layer = f"language_model.model.layers.{i}"
            # InternLM2Attention: rearrange(wqkv(x), 'b q (h gs d) -> b q h gs d', gs=2 + groups)
            fused = (x @ old[f"{layer}.attention.wqkv.weight"].T).reshape(5, KV_HEADS, -1, HEAD_DIM)
            expected = {
                "q": fused[:, :, : HEADS // KV_HEADS].reshape(5, HEADS * HEAD_DIM),
                "k": fused[:, :, -2].reshape(5, KV_HEADS * HEAD_DIM),
                "v": fused[:, :, -1].reshape(5, KV_HEADS * HEAD_DIM),
            }
            for part, value in expected.items():
                actual = x @ new[f"{layer}.self_attn.{part}_proj.weight"].T
                np.testing.assert_allclose(actual, value, rtol=0, atol=1e-5)
            for name, renamed in (
                ("attention.wo", "self_attn.o_proj"),
                ("feed_forward.w1", "mlp.gate_proj"),
                ("feed_forward.w2", "mlp.down_proj"),
                ("feed_forward.w3", "mlp.up_proj"),
                ("attention_norm", "input_layernorm"),
                ("ffn_norm", "post_attention_layernorm"),
            ):
                np.testing.assert_array_equal(old[f"{layer}.{name}.weight"], new[f"{layer}.{renamed}.weight"])

    def test_qwen2(self) -> None:
        old, new = self.check("qwen2", shards=1)
        for name, tensor in old.items():
            if name.startswith("language_model."):
                np.testing.assert_array_equal(tensor, new[name])

    def test_llama_with_the_largest_tower_in_bfloat16(self) -> None:
        old, new = self.check("llama", shards=2)
        self.assertEqual({tensor.dtype for tensor in new.values()}, {np.dtype(np.uint16)})
        for i in range(2):
            for norm in ("q_norm", "k_norm"):
                np.testing.assert_array_equal(
                    old[f"vision_model.encoder.layers.{i}.attn.{norm}.weight"],
                    new[f"vision_tower.encoder.layer.{i}.attention.{norm}.weight"],
                )


if __name__ == "__main__":
    unittest.main()
