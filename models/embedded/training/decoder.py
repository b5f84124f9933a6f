"""The frozen decoder with low-rank updates, run over packed sequences.

Matrix products are in bfloat16 if that is fast; the residual stream, norms and everything trained stay float32.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM

from recipe import smollm2
from recipe.trained_part import DECODER
from training import lora
from training.packing import IGNORED, Batch

MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def attend_packed(
    module: nn.Module,
    query: torch.Tensor,  # [B, H, P + T, D]
    key: torch.Tensor,  # [B, Hkv, P + T, D]
    value: torch.Tensor,  # [B, Hkv, P + T, D]
    bias: torch.Tensor,  # [B, 1, P + T, P + T]
    scaling: float,
    blocks: list[slice],
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Each token sees what `bias` allows. With blocks, which only a sequence that is alone has, the picture attends
    only to itself, and each block of text to the picture and itself."""
    query, key, value = query.to(bias.dtype), key.to(bias.dtype), value.to(bias.dtype)
    if not blocks:
        seen = bias.expand(-1, query.shape[1], -1, -1)  # [B, H, P + T, P + T]
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scaling)
        return attended.transpose(1, 2), None  # [B, P + T, H, D]
    query, rows = scaling * query, bias[0, 0]
    visual = slice(query.shape[2] - blocks[-1].stop)
    picture = _attend(query[:, :, visual], key[:, :, visual], value[:, :, visual], rows[visual, visual])
    texts = []
    for block in blocks:
        own = slice(visual.stop + block.start, visual.stop + block.stop)
        keys, values = (torch.cat([both[:, :, visual], both[:, :, own]], dim=2) for both in (key, value))
        seen = torch.cat([rows[own, visual], rows[own, own]], dim=1)  # [block, P + block]
        texts.append(_attend(query[:, :, own], keys, values, seen))
    return torch.cat([picture, *texts], dim=2).transpose(1, 2), None  # [1, P + T, H, D]


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Attention of one sequence with plain matrix products, one for all heads of a KV head: on a CPU, its backward
    pass is four times as fast as that of scaled_dot_product_attention."""
    _, heads, num_rows, width = query.shape
    groups = key.shape[1]
    rows = query.reshape(groups, -1, width)  # [Hkv, H / Hkv Tq, D]
    scores = (rows @ key[0].transpose(1, 2)).view(groups, -1, *bias.shape) + bias  # [Hkv, H / Hkv, Tq, Tk]
    weights = scores.softmax(dim=-1).view(groups, -1, bias.shape[1])
    return (weights @ value[0]).view(1, heads, num_rows, width)


class Decoder(nn.Module):
    def __init__(self, source: smollm2.Decoder, device: torch.device) -> None:
        super().__init__()
        AttentionInterface.register("packed", attend_packed)
        config = LlamaConfig(**source.config, attn_implementation="packed")
        self.model = LlamaForCausalLM(config)
        weights = {name: torch.tensor(value) for name, value in source.weights.items()}
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
        self.model.load_state_dict(weights)
        self._products = lora.products_of(device)
        lora.adapt(self.model, MODULES, self._products)
        self.to(device)
        self._lm_head = self.embeddings.to(self._products)  # [V, C]

    @property
    def embeddings(self) -> torch.Tensor:  # [V, C]
        return self.model.model.embed_tokens.weight

    def adapters(self) -> dict[str, nn.Parameter]:
        return lora.adapters(self.model, DECODER)

    def forward(self, visual: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """visual [B, P, C] => logits of the answers' tokens, one sequence after another [A, V], and the tokens [A]"""
        inputs = torch.cat([visual, F.embedding(batch.ids, self.embeddings)], dim=1)  # [B, P + T, C]
        bias = torch.zeros_like(batch.visible, dtype=self._products).masked_fill_(~batch.visible, float("-inf"))
        hidden = self.model.model(
            inputs_embeds=inputs,
            attention_mask=bias[:, None],
            position_ids=batch.positions,
            use_cache=False,
            blocks=batch.blocks,
        ).last_hidden_state[:, visual.shape[1] - 1 : -1]  # [B, T, C]: row i predicts text token i
        learnt = batch.labels != IGNORED
        return F.linear(hidden[learnt].to(self._products), self._lm_head).float(), batch.labels[learnt]
