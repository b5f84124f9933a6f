"""The decoder with PAI, VAF or SPIN, written from the methods' papers and released code, row by row and head by head.

As var_reference.py: no cache, float64, every hidden state anew for every generated token.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from var_reference import Decoder, Prompt, softmax


@dataclass(frozen=True)
class Pai:
    """PAI's attention.py: `attn_weights[:, :, -1, image] += alpha * abs(..)` before softmax, in every forward pass."""

    alpha: float
    first_layer: int
    last_layer: int

    only_last_rows = True

    def scores(self, scores: np.ndarray, visual: np.ndarray, first_image: int) -> np.ndarray:
        return np.where(visual, scores + self.alpha * np.abs(scores), scores)


@dataclass(frozen=True)
class Vaf:
    """ClearSight's AttnAdapter.py: scores of rows after the picture, times enh_para on it and sup_para before it."""

    visual_scale: float
    text_scale: float
    first_layer: int
    last_layer: int

    only_last_rows = False

    def scores(self, scores: np.ndarray, visual: np.ndarray, first_image: int) -> np.ndarray:
        before = np.arange(len(scores)) < first_image
        return np.where(visual, scores * self.visual_scale, np.where(before, scores * self.text_scale, scores))


@dataclass(frozen=True)
class Spin:
    """SPIN's attentionSPIN.py: all but the heads with the largest sums of scores on the picture are scaled."""

    kept_head_ratio: float
    suppressed_gain: float
    first_layer: int
    last_layer: int

    only_last_rows = True

    def scores(self, scores: np.ndarray, visual: np.ndarray, first_image: int) -> np.ndarray:
        return scores

    def gains(self, sums: np.ndarray) -> tuple[np.ndarray, float]:
        """sums [H] => factors of the heads' outputs [H], and how far the ranking is from turning."""
        kept = int(self.kept_head_ratio * len(sums))
        order = np.argsort(-sums)
        gains = np.full(len(sums), self.suppressed_gain)
        gains[order[:kept]] = 1.0
        gap = sums[order[kept - 1]] - sums[order[kept]] if 0 < kept < len(sums) else math.inf
        return gains, gap


@dataclass
class ChangedEvidence:
    """Of one forward pass over T tokens."""

    logits: np.ndarray = None  # [T, V]
    shares: dict = field(
        default_factory=dict
    )  # {(row, layer): (changed heads, visual before, after)}, means over heads
    gap: float = math.inf


class ChangedDecoder(Decoder):
    def forward(self, embeddings: np.ndarray, prompt: Prompt, settings: Pai | Vaf | Spin) -> ChangedEvidence:
        """embeddings [1, T, C]: of the prompt and the tokens generated so far."""
        (x,) = embeddings
        evidence = ChangedEvidence()
        for layer in range(self.config.num_hidden_layers):
            x = x + self.changed_attention(layer, x, prompt, settings, evidence)
            x = x + self.mlp(layer, x)
        evidence.logits = self.norm("norm", x) @ self.lm_head.T
        return evidence

    def changed_attention(
        self, layer: int, x: np.ndarray, prompt: Prompt, method: Pai | Vaf | Spin, evidence: ChangedEvidence
    ) -> np.ndarray:
        """[T, C]"""
        q, k, v = self.queries_keys_values(layer, x, prompt)
        heads, group = q.shape[1], q.shape[1] // k.shape[1]
        visual = np.array([prompt.is_visual(i) for i in range(len(x))])
        first_image = int(visual.argmax())
        out = np.zeros_like(q)  # [T, H, D]
        for row in range(len(x)):
            seen = slice(0, row + 1)
            in_layers = method.first_layer <= layer <= method.last_layer
            is_late = not method.only_last_rows or row >= len(prompt.input_ids) - 1
            changed = in_layers and is_late and prompt.is_eligible(row)
            sums, before, after = np.zeros((3, heads))
            for head in range(heads):
                scores = k[seen, head // group] @ q[row, head] / math.sqrt(q.shape[2])  # [row + 1]
                a = softmax(scores)
                sums[head] = scores[visual[seen]].sum()
                before[head] = a[visual[seen]].sum()
                if changed:
                    a = softmax(method.scores(scores, visual[seen], first_image))
                after[head] = a[visual[seen]].sum()
                out[row, head] = a @ v[seen, head // group]
            if not changed:
                continue
            num_changed = heads
            if isinstance(method, Spin):
                gains, gap = method.gains(sums)
                out[row] *= gains[:, None]
                after *= gains
                num_changed = heads - int(method.kept_head_ratio * heads)
                evidence.gap = min(evidence.gap, gap)
            evidence.shares[row, layer] = (num_changed / heads, before.mean(), after.mean())
        return self.linear(f"layers.{layer}.self_attn.o_proj", out.reshape(len(x), -1))
