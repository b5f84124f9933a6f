"""VAR (Kang et al., ICLR 2025) as slow, simple PyTorch code, independent of the server's.

For the paper's variant with the picture before all text: every text row is then eligible, and no visual row is.
"""

from dataclasses import dataclass, field
from enum import Enum

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, LlamaModel


class Treatment(Enum):
    OBSERVE = "observe"
    REDISTRIBUTE = "redistribute"  # VAR
    REDISTRIBUTE_ALL_HEADS = "redistribute in all heads"  # without the head test: the paper's ablation
    MASK_SINKS = "mask visual sinks"
    MASK_RANDOM = "mask as many random visual tokens"


@dataclass(frozen=True)
class Setting:
    treatment: Treatment = Treatment.OBSERVE
    tau: float = 20.0
    rho: float = 0.8
    p: float = 0.6
    min_visual_attention: float = 0.2


@dataclass
class Shares:
    """Shares of one layer, sums over eligible rows and heads."""

    rows: int = 0  # rows x heads
    visual: float = 0.0  # attention on visual tokens, before
    visual_sinks: float = 0.0
    text_sinks: float = 0.0
    image_centric: float = 0.0
    moved: float = 0.0  # Omega


@dataclass
class VarDecoder:
    """Replaces the attention of a Llama model that was created with attn_implementation="var"."""

    model: LlamaModel
    sink_dimensions: list[int]
    setting: Setting = field(default_factory=Setting)

    def __post_init__(self) -> None:
        self.phi: list[torch.Tensor] = []  # by layer: [Tk]
        self.shares: list[Shares] = []
        self._num_visual = 0
        self._random = torch.Generator()
        for index, layer in enumerate(self.model.layers):
            layer.register_forward_pre_hook(lambda _, args, index=index: self._observe(index, args[0]))
            layer.self_attn.var = self
        self.reset_shares()

    def begin(self, num_visual: int) -> None:
        """Removes all tokens; the next `num_visual` tokens are a picture's."""
        self.phi = [torch.empty(0) for _ in self.model.layers]
        self._num_visual = num_visual

    def forget(self, length: int) -> None:
        """Removes the tokens after the first `length`."""
        self.phi = [phi[:length] for phi in self.phi]
        self._random.manual_seed(0)

    def reset_shares(self) -> None:
        self.shares = [Shares() for _ in self.model.layers]

    def _observe(self, layer: int, hidden: torch.Tensor) -> None:  # [1, T, C]
        x = hidden[0].float()
        rms = x.square().mean(dim=-1).add(self.model.config.rms_norm_eps).sqrt()  # [T]
        phi = x[:, self.sink_dimensions].abs().amax(dim=-1) / rms
        self.phi[layer] = torch.cat([self.phi[layer], phi])

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """query [1, H, Tq, D], key and value [1, H, Tk, D] => [1, H, Tq, D]"""
        rows, keys = query.shape[2], key.shape[2]
        if keys <= self._num_visual:
            return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)
        scores = (query[0] @ key[0].transpose(1, 2)).float() * scaling  # [H, Tq, Tk]
        future = torch.ones(rows, keys, dtype=torch.bool).triu(keys - rows + 1)
        scores = scores.masked_fill(future, float("-inf"))

        visual = torch.arange(keys) < self._num_visual  # [Tk]
        sink = self.phi[layer] >= self.setting.tau
        if self.setting.treatment in (Treatment.MASK_SINKS, Treatment.MASK_RANDOM):
            scores = scores.masked_fill(self._masked(visual, sink), float("-inf"))
        attention = scores.softmax(dim=-1)
        changed = self._redistribute(layer, attention, visual, sink)
        return (changed.to(value.dtype) @ value[0])[None]

    def _masked(self, visual: torch.Tensor, sink: torch.Tensor) -> torch.Tensor:
        sinks = visual & sink
        if self.setting.treatment is Treatment.MASK_SINKS:
            return sinks
        others = (visual & ~sink).nonzero()[:, 0]
        chosen = others[torch.randperm(len(others), generator=self._random)[: int(sinks.sum())]]
        return torch.zeros_like(sinks).index_fill(0, chosen, True)

    def _redistribute(
        self, layer: int, attention: torch.Tensor, visual: torch.Tensor, sink: torch.Tensor
    ) -> torch.Tensor:  # attention [H, Tq, Tk]
        setting = self.setting
        m_v = attention[..., visual].sum(dim=-1)  # [H, Tq]
        m_vs = attention[..., visual & sink].sum(dim=-1)
        m_vn = attention[..., visual & ~sink].sum(dim=-1)
        m_ts = attention[..., ~visual & sink].sum(dim=-1)
        image_centric = (m_v >= setting.min_visual_attention) & (m_vn >= setting.rho * m_v) & (m_vn > 0)
        chosen = image_centric
        if setting.treatment is Treatment.REDISTRIBUTE_ALL_HEADS:
            chosen = m_vn > 0
        elif setting.treatment is not Treatment.REDISTRIBUTE:
            chosen = torch.zeros_like(image_centric)
        if layer == len(self.model.layers) - 1:  # the last layer is left unchanged
            chosen = torch.zeros_like(chosen)
        omega = torch.where(chosen, setting.p * (m_vs + m_ts), 0.0)

        totals = self.shares[layer]
        totals.rows += m_v.numel()
        for name, mass in (
            ("visual", m_v),
            ("visual_sinks", m_vs),
            ("text_sinks", m_ts),
            ("image_centric", image_centric),
            ("moved", omega),
        ):
            setattr(totals, name, getattr(totals, name) + mass.sum().item())

        gain = torch.where(chosen, 1 + omega / m_vn, 1.0)[..., None]  # [H, Tq, 1]
        loss = torch.where(chosen, 1 - setting.p, 1.0)[..., None]
        return torch.where(sink, attention * loss, torch.where(visual, attention * gain, attention))


def _var_attention(
    module: nn.Module,
    query: torch.Tensor,  # [1, H, Tq, D]
    key: torch.Tensor,  # [1, Hkv, Tk, D]
    value: torch.Tensor,  # [1, Hkv, Tk, D]
    attention_mask: torch.Tensor | None,
    scaling: float,
    **_: object,
) -> tuple[torch.Tensor, None]:
    key, value = (part.repeat_interleave(module.num_key_value_groups, dim=1) for part in (key, value))
    mixed = module.var.attend(module.layer_idx, query, key, value, scaling)
    return mixed.transpose(1, 2), None  # [1, Tq, H, D]


AttentionInterface.register("var", _var_attention)
AttentionMaskInterface.register("var", lambda *_, **__: None)  # the rows are causal, one sequence at a time
