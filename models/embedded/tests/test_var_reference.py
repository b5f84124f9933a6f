"""Invariants of the slow VAR reference, on random attention."""

import unittest
from types import SimpleNamespace
from typing import ClassVar

import torch

from evaluation.var_reference import Setting, Shares, Treatment, VarDecoder

LAYERS, HEADS, ROWS, VISUAL, TEXT = 3, 4, 2, 10, 5
KEYS = VISUAL + TEXT


def decoder(setting: Setting, sinks: list[int]) -> VarDecoder:
    layers = [SimpleNamespace(self_attn=SimpleNamespace(), register_forward_pre_hook=lambda _: None)] * LAYERS
    result = VarDecoder(SimpleNamespace(layers=layers), [0], setting)
    result.begin(VISUAL)
    result.phi = [torch.zeros(KEYS).index_fill(0, torch.tensor(sinks, dtype=torch.long), 23.0)] * LAYERS
    return result


def attention(seed: int) -> torch.Tensor:
    return torch.randn(HEADS, ROWS, KEYS, generator=torch.Generator().manual_seed(seed)).mul(2).softmax(dim=-1)


def redistribute(setting: Setting, before: torch.Tensor, sinks: list[int], layer: int = 0) -> torch.Tensor:
    visual = torch.arange(KEYS) < VISUAL
    sink = torch.zeros(KEYS, dtype=torch.bool).index_fill(0, torch.tensor(sinks, dtype=torch.long), True)
    return decoder(setting, sinks)._redistribute(layer, before, visual, sink)


class RedistributeTest(unittest.TestCase):
    SINKS: ClassVar = [1, 4, 11]  # two visual, one text
    VAR = Setting(Treatment.REDISTRIBUTE, rho=0.3)

    def test_rows_still_sum_to_one(self) -> None:
        for seed in range(20):
            after = redistribute(self.VAR, attention(seed), self.SINKS)
            torch.testing.assert_close(after.sum(dim=-1), torch.ones(HEADS, ROWS))

    def test_sinks_keep_one_minus_p_in_image_centric_heads(self) -> None:
        before = attention(0)
        after = redistribute(self.VAR, before, self.SINKS)
        m_v, m_vn = before[..., :VISUAL].sum(-1), before[..., [0, 2, 3, 5, 6, 7, 8, 9]].sum(-1)
        chosen = (m_v >= 0.2) & (m_vn / m_v >= 0.3)
        self.assertTrue(chosen.any())
        torch.testing.assert_close(after[chosen][:, self.SINKS], 0.4 * before[chosen][:, self.SINKS])
        torch.testing.assert_close(after[~chosen], before[~chosen], rtol=0, atol=0)
        others = [12, 13, 14]  # text tokens that are not sinks
        torch.testing.assert_close(after[..., others], before[..., others], rtol=0, atol=0)

    def test_nothing_changes(self) -> None:
        before = attention(0)
        for name, setting, sinks, layer in (
            ("without moving", Setting(Treatment.REDISTRIBUTE, rho=0.0, p=0.0), self.SINKS, 0),
            ("without sinks", self.VAR, [], 0),
            ("in the last layer", self.VAR, self.SINKS, LAYERS - 1),
            ("while observing", Setting(Treatment.OBSERVE), self.SINKS, 0),
            ("where all visual tokens are sinks", self.VAR, list(range(VISUAL)), 0),
        ):
            with self.subTest(name):
                torch.testing.assert_close(redistribute(setting, before, sinks, layer), before, rtol=0, atol=0)

    def test_shares_are_counted(self) -> None:
        var = decoder(self.VAR, self.SINKS)
        before = attention(0)
        visual = torch.arange(KEYS) < VISUAL
        after = var._redistribute(0, before, visual, var.phi[0] >= var.setting.tau)
        shares: Shares = var.shares[0]
        self.assertEqual(shares.rows, HEADS * ROWS)
        self.assertAlmostEqual(shares.visual, before[..., :VISUAL].sum().item(), places=4)
        lost = (before - after)[..., self.SINKS].sum().item()
        self.assertAlmostEqual(shares.moved, lost, places=4)


class MaskTest(unittest.TestCase):
    def test_as_many_random_tokens_as_sinks_and_never_a_sink(self) -> None:
        sinks = [1, 4, 11]
        visual = torch.arange(KEYS) < VISUAL
        for treatment, expected in ((Treatment.MASK_SINKS, {1, 4}), (Treatment.MASK_RANDOM, None)):
            var = decoder(Setting(treatment), sinks)
            masked = set(var._masked(visual, var.phi[0] >= 20).nonzero().flatten().tolist())
            self.assertEqual(len(masked), 2)
            if expected:
                self.assertEqual(masked, expected)
            else:
                self.assertTrue(masked <= set(range(VISUAL)) - set(sinks))


if __name__ == "__main__":
    unittest.main()
