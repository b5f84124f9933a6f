"""The frozen decoder with low-rank updates, run over packed sequences.

Matrix products are in bfloat16, as served, on processors with instructions for it, which do them three times as
fast; the residual stream, norms and what is trained stay float32.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM

from recipe import smollm2
from training.packing import IGNORED, Packed

RANK = 16
ALPHA = 32.0
PRODUCTS = torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class LoraLinear(nn.Module):
    """y = W x + alpha / r * B A x, with W frozen, in PRODUCTS."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.weight = nn.Parameter(linear.weight.to(PRODUCTS), requires_grad=False)
        self.lora_A = nn.Parameter(torch.randn(RANK, linear.in_features) / linear.in_features**0.5)
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, RANK))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1]).to(PRODUCTS)
        low = rows @ self.lora_A.to(PRODUCTS).T
        y = torch.addmm(rows @ self.weight.T, low, self.lora_B.to(PRODUCTS).T, alpha=ALPHA / RANK)
        return y.view(*x.shape[:-1], -1)


def attend_packed(
    module: nn.Module,
    query: torch.Tensor,  # [1, H, P + T, D]
    key: torch.Tensor,  # [1, Hkv, P + T, D]
    value: torch.Tensor,  # [1, Hkv, P + T, D]
    bias: torch.Tensor,  # [1, 1, T, P + T]
    scaling: float,
    blocks: list[slice],
    **_,
) -> tuple[torch.Tensor, None]:
    """Visual rows are causal among themselves, a block of text sees of the picture and itself what `bias` lets it."""
    num_text = bias.shape[2]
    num_visual = query.shape[2] - num_text
    query, key, value = (scaling * query).to(PRODUCTS), key.to(PRODUCTS), value.to(PRODUCTS)
    causal = torch.full((num_visual, num_visual), float("-inf"), dtype=PRODUCTS).triu(1)
    picture = _attend(query[:, :, :num_visual], key[:, :, :num_visual], value[:, :, :num_visual], causal)
    texts = []
    for block in blocks:
        own = slice(num_visual + block.start, num_visual + block.stop)
        keys, values = (torch.cat([both[:, :, :num_visual], both[:, :, own]], dim=2) for both in (key, value))
        seen = torch.cat([bias[0, 0, block, :num_visual], bias[0, 0, block, own]], dim=1)  # [block, P + block]
        texts.append(_attend(query[:, :, own], keys, values, seen))
    return torch.cat([picture, *texts], dim=2).transpose(1, 2), None  # [1, P + T, H, D]


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """By plain products, the heads of a KV head in one: backward, that is four times as fast here as
    scaled_dot_product_attention."""
    _, heads, num_rows, width = query.shape
    groups = key.shape[1]
    rows = query.reshape(groups, -1, width)  # [Hkv, H / Hkv Tq, D]
    scores = (rows @ key[0].transpose(1, 2)).view(groups, -1, *bias.shape) + bias  # [Hkv, H / Hkv, Tq, Tk]
    weights = scores.softmax(dim=-1).view(groups, -1, bias.shape[1])
    return (weights @ value[0]).view(1, heads, num_rows, width)


class Decoder(nn.Module):
    def __init__(self, source: smollm2.Decoder):
        super().__init__()
        AttentionInterface.register("packed", attend_packed)
        config = LlamaConfig(**source.config, attn_implementation="packed")
        self.model = LlamaForCausalLM(config)
        weights = {name: torch.tensor(value) for name, value in source.weights.items()}
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
        self.model.load_state_dict(weights)
        self.model.requires_grad_(False)
        self._lm_head = self.embeddings.to(PRODUCTS)  # [V, C]
        for name, linear in list(self.model.named_modules()):
            parent, _, child = name.rpartition(".")
            if child in MODULES:
                setattr(self.model.get_submodule(parent), child, LoraLinear(linear))

    @property
    def embeddings(self) -> torch.Tensor:  # [V, C]
        return self.model.model.embed_tokens.weight

    def adapters(self) -> dict[str, nn.Parameter]:
        """The trained parameters, named as the trained part's file names them."""
        return {
            f"language_model.{name}.weight": parameter
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad
        }

    def forward(self, visual: torch.Tensor, packed: Packed) -> tuple[torch.Tensor, torch.Tensor]:
        """visual [P, C] => logits of the answers' tokens [A, V], the tokens [A]"""
        inputs = torch.cat([visual, F.embedding(packed.ids, self.embeddings)])[None]  # [1, P + T, C]
        bias = torch.zeros(packed.visible.shape, dtype=PRODUCTS).masked_fill_(~packed.visible, float("-inf"))
        hidden = self.model.model(
            inputs_embeds=inputs,
            attention_mask=bias[None, None],
            position_ids=packed.positions[None],
            use_cache=False,
            blocks=packed.blocks,
        ).last_hidden_state[0, len(visual) - 1 : -1]  # [T, C]: row i predicts text token i
        learnt = packed.labels != IGNORED
        return F.linear(hidden[learnt].to(PRODUCTS), self._lm_head).float(), packed.labels[learnt]
