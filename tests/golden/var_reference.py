"""The decoder with Visual Attention Redistribution, written to be read: no cache, row by row, head by head.

Every hidden state is computed anew for every generated token, in float64, so that what is stored is right to
float32's last digits. Only the weights and the image features come from transformers.
Letters: T tokens, C width, H heads, D head size, L layers, V vocabulary.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from transformers import PreTrainedModel

from qwen2_vl_specs import IMAGE_TOKEN
from rope_reference import head_size, rope_angles, rotate

PAPER = "PAPER"
AUTHORS_CODE = "AUTHORS_CODE"


@dataclass(frozen=True)
class VarSettings:
    mode: str  # OFF, OBSERVE or ON
    variant: str
    tau: float
    rho: float
    p: float
    min_visual_attention: float
    first_layer: int
    last_layer: int

    def covers(self, layer: int) -> bool:
        return self.mode != "OFF" and self.first_layer <= layer <= self.last_layer


@dataclass(frozen=True)
class Prompt:
    input_ids: list  # visual tokens hold the placeholder's id
    # [begin, end, rows, cols] of each image's tokens and their grid; other tokens than the placeholder are text, as
    # SmolVLM has it around tiles. Of LLaVA-NeXT also rows and columns of the thumbnail, whose tokens come first; then
    # each row of the grid ends with a newline.
    spans: list
    by_columns: bool = False  # the visual tokens of VILA's downsampling projector

    def is_visual(self, position: int) -> bool:
        return self.is_of_picture(position) and not self.is_newline(position)

    def is_of_picture(self, position: int) -> bool:
        """Whether its embedding comes with the picture."""
        in_image = any(begin <= position < end for begin, end, *_ in self.spans)
        return in_image and self.input_ids[position] == IMAGE_TOKEN

    def is_newline(self, position: int) -> bool:
        for begin, end, _, cols, *thumbnail in self.spans:
            in_grid = position - begin - math.prod(thumbnail)
            if thumbnail and begin <= position < end and in_grid >= 0 and in_grid % (cols + 1) == cols:
                return True
        return False

    def is_eligible(self, position: int) -> bool:
        """A text token after an image."""
        in_image = any(begin <= position < end for begin, end, *_ in self.spans)
        return not in_image and any(end <= position for _, end, *_ in self.spans)

    def prefix_size(self) -> int:
        """Tokens before the first eligible one."""
        eligible = (i for i in range(len(self.input_ids)) if self.is_eligible(i))
        return next(eligible, len(self.input_ids))


@dataclass
class HeadShares:
    """One eligible row, one head, one layer."""

    image_centric: bool
    omega: float  # attention moved
    visual_before: float
    visual_after: float


@dataclass
class Evidence:
    """Of one forward pass over T tokens. Rows, layers and heads that VAR does not cover have no shares."""

    logits: np.ndarray  # [T, V]
    phi: np.ndarray  # [L, T], of the variant
    sinks: np.ndarray  # [L, T], false in layers that VAR does not cover
    shares: dict = field(default_factory=dict)  # {(row, layer): [HeadShares] * H}
    attention: dict = field(default_factory=dict)  # {(row, layer): [(before, after)] * H}, each [row + 1]
    gap: float = math.inf  # least distance of a sink test or head decision from where it would turn


def rms(x: np.ndarray, eps: float) -> np.ndarray:
    return np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    exp = np.exp(x - x.max())
    return exp / exp.sum()


def head_decision(
    settings: VarSettings, m_v: float, m_vs: float, m_vn: float, num_visual: int, visual_sink_seen: bool
) -> tuple[bool, float]:
    """Whether the head is image-centric for the row, and how far that is from turning."""
    paper = settings.variant == PAPER
    if m_vn == 0 or not (paper or visual_sink_seen):
        return False, math.inf
    margins = [
        m_v - settings.min_visual_attention,
        m_vn / m_v - settings.rho if paper else 1 - settings.rho - m_vs / (m_v + num_visual * 1e-6),
    ]
    # Passed: the nearer test could turn it. Failed: the farther one still holds it.
    return min(margins) >= 0, abs(min(margins))


def redistribute(
    settings: VarSettings, a: np.ndarray, visual: np.ndarray, sink: np.ndarray
) -> tuple[np.ndarray, HeadShares, float]:
    """One row of one head: attention a [row + 1], two masks over the same tokens => a', HeadShares, gap."""
    m_v = a[visual].sum()
    m_vs = a[visual & sink].sum()
    m_vn = a[visual & ~sink].sum()
    m_ts = a[sink & ~visual].sum()
    image_centric, gap = head_decision(settings, m_v, m_vs, m_vn, visual.sum(), (visual & sink).any())
    if not image_centric or settings.mode == "OBSERVE":
        return a, HeadShares(image_centric, 0.0, m_v, m_v), gap

    omega = settings.p * (m_vs + m_ts)
    after = a.copy()
    after[sink] *= 1 - settings.p
    after[visual & ~sink] *= 1 + omega / m_vn
    if abs(after.sum() - 1) > 1e-9:
        raise AssertionError(f"a row sums to {after.sum()}")
    return after, HeadShares(True, omega, m_v, after[visual].sum()), gap


class Decoder:
    """A model's language model."""

    def __init__(self, model: PreTrainedModel, sink_dimensions: Sequence[int]) -> None:
        self.config = model.config.text_config
        self.sink_dimensions = sink_dimensions
        state = {name: tensor.numpy().astype(np.float64) for name, tensor in model.state_dict().items()}
        prefix = "model.text_model." if hasattr(model.model, "text_model") else "model.language_model."
        self.weights = {name[len(prefix) :]: w for name, w in state.items() if name.startswith(prefix)}
        self.lm_head = state["lm_head.weight"]

    def embed(self, prompt: Prompt, image_features: Sequence[np.ndarray], generated: Iterable[int] = ()) -> np.ndarray:
        """[1 + D, T, C]: the embeddings, and what is added after the first D layers: each image's features
        [1 + D, P, C] are where the prompt has its visual tokens."""
        x = self.weights["embed_tokens.weight"][[*prompt.input_ids, *generated]]
        added = len(image_features[0]) - 1 if prompt.spans else 0
        embeddings = np.concatenate([x[None], np.zeros((added, *x.shape))])
        for (begin, end, *_), features in zip(prompt.spans, image_features, strict=True):
            embeddings[:, list(filter(prompt.is_of_picture, range(begin, end)))] = features
        return embeddings

    def forward(self, embeddings: np.ndarray, prompt: Prompt, settings: VarSettings) -> Evidence:
        """embeddings [1 + D, T, C]: of the prompt and the tokens generated so far."""
        x, *added = embeddings
        num_tokens, layers = len(x), self.config.num_hidden_layers
        visual = np.array([prompt.is_visual(i) for i in range(num_tokens)])
        may_be_sink = np.ones(num_tokens, bool)
        if settings.variant == AUTHORS_CODE:  # finds sinks once, in the prompt
            may_be_sink[len(prompt.input_ids) :] = False

        evidence = Evidence(logits=None, phi=np.zeros((layers, num_tokens)), sinks=np.zeros((layers, num_tokens), bool))
        for layer in range(layers):
            phi = self.phi(x, settings)
            sink = (phi >= settings.tau if settings.variant == PAPER else phi > settings.tau) & may_be_sink
            evidence.phi[layer] = phi
            if settings.covers(layer):
                evidence.sinks[layer] = sink
                evidence.gap = min(evidence.gap, np.abs(phi - settings.tau)[may_be_sink].min())
            x = x + self.attention(layer, x, prompt, settings, visual, sink, evidence)
            x = x + self.mlp(layer, x)
            x = x + added[layer] if layer < len(added) else x
        evidence.logits = self.norm("norm", x) @ self.lm_head.T
        return evidence

    def phi(self, x: np.ndarray, settings: VarSettings) -> np.ndarray:
        eps = self.config.rms_norm_eps if settings.variant == PAPER else 1e-6
        return (np.abs(x[:, self.sink_dimensions]) / rms(x, eps)).max(axis=-1)

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.weights[f"{name}.weight"] * (x / rms(x, self.config.rms_norm_eps))

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        y = x @ self.weights[f"{name}.weight"].T
        return y + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else y

    def mlp(self, layer: int, x: np.ndarray) -> np.ndarray:
        mlp = f"layers.{layer}.mlp"
        h = self.norm(f"layers.{layer}.post_attention_layernorm", x)
        return self.linear(
            f"{mlp}.down_proj", silu(self.linear(f"{mlp}.gate_proj", h)) * self.linear(f"{mlp}.up_proj", h)
        )

    def attention(
        self,
        layer: int,
        x: np.ndarray,
        prompt: Prompt,
        settings: VarSettings,
        visual: np.ndarray,
        sink: np.ndarray,
        evidence: Evidence,
    ) -> np.ndarray:
        """[T, C]; leaves what VAR saw and did in `evidence`."""
        heads, kv_heads = self.config.num_attention_heads, self.config.num_key_value_heads
        head_dim, num_tokens = head_size(self.config), len(x)
        q, k, v = self.queries_keys_values(layer, x, prompt)

        out = np.zeros_like(q)  # [T, H, D]
        for row in range(num_tokens):
            seen = slice(0, row + 1)
            covered = settings.covers(layer) and prompt.is_eligible(row)
            for head in range(heads):
                kv_head = head // (heads // kv_heads)
                a = softmax(k[seen, kv_head] @ q[row, head] / math.sqrt(head_dim))  # [row + 1]
                if covered:
                    before = a
                    a, shares, gap = redistribute(settings, a, visual[seen], sink[seen])
                    evidence.shares.setdefault((row, layer), []).append(shares)
                    evidence.attention.setdefault((row, layer), []).append((before, a))
                    evidence.gap = min(evidence.gap, gap)
                out[row, head] = a @ v[seen, kv_head]
        return self.linear(f"layers.{layer}.self_attn.o_proj", out.reshape(num_tokens, heads * head_dim))

    def queries_keys_values(
        self, layer: int, x: np.ndarray, prompt: Prompt
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """[T, H or Hkv, D], rotated."""
        heads, kv_heads = self.config.num_attention_heads, self.config.num_key_value_heads
        head_dim, num_tokens = head_size(self.config), len(x)
        attn = f"layers.{layer}.self_attn"
        h = self.norm(f"layers.{layer}.input_layernorm", x)
        q = self.linear(f"{attn}.q_proj", h).reshape(num_tokens, heads, head_dim)
        k = self.linear(f"{attn}.k_proj", h).reshape(num_tokens, kv_heads, head_dim)
        v = self.linear(f"{attn}.v_proj", h).reshape(num_tokens, kv_heads, head_dim)
        if f"{attn}.q_norm.weight" in self.weights:
            q, k = self.norm(f"{attn}.q_norm", q), self.norm(f"{attn}.k_norm", k)
        angles = rope_angles(self.config, prompt.spans, num_tokens)
        return rotate(q, angles), rotate(k, angles), v


@dataclass
class Generation:
    tokens: list
    step_logits: np.ndarray  # [steps, V]
    greedy_gap: float  # least distance of a step's best logit from its second
    evidence: Evidence  # of the last pass: the prompt and all generated tokens but the last


def generate(
    decoder: Decoder, prompt: Prompt, image_features: Sequence[np.ndarray], settings: VarSettings, num_tokens: int
) -> Generation:
    """Greedy decoding that stops at nothing."""
    tokens, step_logits, greedy_gap = [], [], math.inf
    for _ in range(num_tokens):
        evidence = decoder.forward(decoder.embed(prompt, image_features, tokens), prompt, settings)
        step_logits.append(evidence.logits[-1])
        second, best = np.sort(step_logits[-1])[-2:]
        greedy_gap = min(greedy_gap, best - second)
        tokens.append(int(step_logits[-1].argmax()))
    return Generation(tokens, np.stack(step_logits), float(greedy_gap), evidence)
