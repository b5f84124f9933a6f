"""VAR the way its authors' released code goes about it, rebuilt in transformers, to be timed.

Eager attention with the whole matrix; sinks found once, in the prompt; then, layer by layer, a Python loop over the
heads that copies a head's attention and rewrites it. Redistributes in every head that has visual attention, as
tests/bench/var.py has the server do, in the layers and rows of the released code: layers from the third on, rows after
the picture.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, LlavaForConditionalGeneration
from transformers.masking_utils import eager_mask
from transformers.models.llama.modeling_llama import repeat_kv

FIRST_LAYER = 2
KEPT = 0.6  # share of its attention that a sink keeps


class AuthorsVar:
    def __init__(self, model: LlavaForConditionalGeneration, sink_dimensions: list[int], tau: float) -> None:
        self._decoder = model.model.language_model
        self._image_token = model.config.image_token_id
        self._sink_dimensions, self._tau = sink_dimensions, tau
        self._visual = torch.empty(0, dtype=torch.long)  # positions
        self._sinks: list[torch.Tensor] = []  # positions, by layer
        self.heads_changed = 0

    @contextlib.contextmanager
    def applied(self, input_ids: torch.Tensor) -> Iterator[None]:
        """Patches the decoder for one prompt, [T]."""
        self._visual = (input_ids == self._image_token).nonzero()[:, 0]
        self._sinks = [torch.empty(0, dtype=torch.long) for _ in self._decoder.layers]
        hooks = []
        for index, layer in enumerate(self._decoder.layers):
            hooks.append(layer.register_forward_pre_hook(lambda _, args, index=index: self._find_sinks(index, args[0])))
            layer.self_attn.authors_var = self
        before = self._decoder.config._attn_implementation
        self._decoder.config._attn_implementation = "authors_var"
        try:
            yield
        finally:
            self._decoder.config._attn_implementation = before
            for hook in hooks:
                hook.remove()

    def _find_sinks(self, layer: int, hidden: torch.Tensor) -> None:  # [1, T, C]
        if layer < FIRST_LAYER or hidden.shape[1] == 1:
            return
        x = hidden[0].float()
        normed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)
        self._sinks[layer] = (normed[:, self._sink_dimensions].abs().amax(-1) > self._tau).nonzero()[:, 0]

    def redistribute(self, layer: int, attention: torch.Tensor) -> torch.Tensor:
        """attention: [1, H, Tq, Tk], changed."""
        sinks = self._sinks[layer]
        visual_sinks = sinks[torch.isin(sinks, self._visual)]
        if len(visual_sinks) == 0:
            return attention
        others = self._visual[~torch.isin(self._visual, visual_sinks)]
        first_row = max(0, attention.shape[2] - (attention.shape[3] - int(self._visual[-1]) - 1))
        for head in range(attention.shape[1]):
            rows = attention[0, head, first_row:].clone()  # [R, Tk]
            portion = rows[:, visual_sinks].sum(-1) / (rows[:, self._visual] + 1e-6).sum(-1)
            selected = ((portion <= 1.0) & (rows[:, self._visual].sum(-1) >= 0.0)).nonzero()[:, 0]
            if len(selected) == 0 or len(others) == 0:
                continue
            self.heads_changed += len(selected)
            chosen = rows[selected]
            budget = (1 - KEPT) * chosen[:, sinks].sum(-1, keepdim=True)
            share = chosen[:, others] / chosen[:, others].sum(-1, keepdim=True)
            chosen[:, sinks] *= KEPT
            chosen[:, others] += budget * share
            attention[0, head, first_row + selected] = chosen
        return attention


def _attend(
    module: nn.Module,
    query: torch.Tensor,  # [1, H, Tq, D]
    key: torch.Tensor,  # [1, Hkv, Tk, D]
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    **_: object,
) -> tuple[torch.Tensor, torch.Tensor]:
    key, value = repeat_kv(key, module.num_key_value_groups), repeat_kv(value, module.num_key_value_groups)
    scores = (query @ key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask[:, :, :, : key.shape[2]]
    attention = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    attention = module.authors_var.redistribute(module.layer_idx, attention)
    return (attention @ value).transpose(1, 2).contiguous(), attention


AttentionInterface.register("authors_var", _attend)
AttentionMaskInterface.register("authors_var", eager_mask)
