"""Contrast decoding on transformers, written from the methods' papers and released code: VCD, ICD, M3ID and the second
part of PAI. Two whole forward passes for every token, without a cache, so that no cache can be the wrong one."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from intervention_reference import ChangedDecoder, Pai
from qwen2_vl_specs import IMAGE_TOKEN
from var_reference import Prompt

if TYPE_CHECKING:
    from make_model_goldens import TinyModel

MOST_GAP = 1e3  # written where one token alone is plausible


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max()
    return shifted - math.log(np.exp(shifted).sum())


def plausible(scores: np.ndarray, beta: float) -> tuple[np.ndarray, float]:
    """Which tokens are kept [V], and how far the nearest is from the cut."""
    cutoff = (math.log(beta) if beta > 0 else -math.inf) + scores.max()
    return scores >= cutoff, float(np.abs(scores - cutoff).min())


@dataclass(frozen=True)
class Vcd:
    """vcd_sample.py: (1 + alpha) z - alpha u, of noisy pictures (vcd_add_noise.py); greedy here."""

    alpha: float
    beta: float
    noise_step: int
    noise_seed: int

    def combine(self, z: np.ndarray, u: np.ndarray, t: int) -> tuple[np.ndarray, float]:
        kept, gap = plausible(z, self.beta)
        return np.where(kept, (1 + self.alpha) * z - self.alpha * u, -np.inf), gap


@dataclass(frozen=True)
class Icd:
    """icd_sample_llava.py: as VCD, of a disturbed instruction: here, so many tokens before the question."""

    alpha: float
    beta: float
    disturbance: tuple[int, ...]

    combine = Vcd.combine


@dataclass(frozen=True)
class M3id:
    """The paper's l_c + 1[max l_c < log alpha] (1 - e^{-lambda t}) / e^{-lambda t} (l_c - l_u), t from 1."""

    forgetting_rate: float
    confidence: float
    beta: float

    def combine(self, z: np.ndarray, u: np.ndarray, t: int) -> tuple[np.ndarray, float]:
        lc, lu = log_softmax(z), log_softmax(u)
        kept, gap = plausible(z, self.beta)
        gamma = math.exp(-self.forgetting_rate * t)
        amplified = lc + (1 - gamma) / gamma * (lc - lu) if lc.max() < math.log(self.confidence) else lc
        return np.where(kept, amplified, -np.inf), min(gap, abs(lc.max() - math.log(self.confidence)))


@dataclass(frozen=True)
class PaiContrast:
    """CFG.py: gamma (s - u) + u of log-probabilities, cut at 0.1; `attention` is on the request's sequence alone."""

    gamma: float
    attention: Pai | None

    def combine(self, z: np.ndarray, u: np.ndarray, t: int) -> tuple[np.ndarray, float]:
        s, unconditional = log_softmax(z), log_softmax(u)
        kept, gap = plausible(s, 0.1)
        return np.where(kept, self.gamma * (s - unconditional) + unconditional, -np.inf), gap


Contrast = Vcd | Icd | M3id | PaiContrast


def signal_and_noise(step: int) -> tuple[float, float]:
    """vcd_add_noise.py's alphas_bar_sqrt and one_minus_alphas_bar_sqrt, in double."""
    betas = 1 / (1 + np.exp(-np.linspace(-6, 6, 1000))) * (0.5e-2 - 1e-5) + 1e-5
    alphas_prod = np.cumprod(1 - betas)
    return math.sqrt(alphas_prod[step]), math.sqrt(1 - alphas_prod[step])


def normals(seed: int, count: int) -> np.ndarray:
    """As the server draws them: Box and Muller's, from SplitMix64."""
    pairs = np.arange(count + count % 2, dtype=np.uint64)
    with np.errstate(over="ignore"):  # modulo 2^64
        z = np.uint64(seed) + (pairs + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    uniform = ((z >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    radius, angle = np.sqrt(-2 * np.log(uniform[::2])), 2 * np.pi * uniform[1::2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()[:count]


def noisy(method: Contrast) -> Callable[[int, np.ndarray], np.ndarray] | None:
    """What happens to the n-th picture of the sibling's prompt."""
    if not isinstance(method, Vcd):
        return None
    signal, noise = signal_and_noise(method.noise_step)
    return lambda n, pixels: (
        signal * pixels + noise * normals(method.noise_seed + n, pixels.size).reshape(pixels.shape)
    ).astype(np.float32)


def sibling_prompt(method: Contrast, prompt: Prompt) -> Prompt:
    if isinstance(method, Vcd):
        return prompt
    if isinstance(method, Icd):
        end = prompt.spans[-1][1]
        return Prompt(prompt.input_ids[:end] + list(method.disturbance) + prompt.input_ids[end:], prompt.spans)
    return Prompt([token for i, token in enumerate(prompt.input_ids) if not prompt.is_visual(i)], [])


def decode(tiny: "TinyModel", name: str, method: Contrast, prompt: Prompt, num_tokens: int) -> tuple[dict, dict]:
    """Greedy decoding: facts, with how far the nearest cut and token are from turning, and tensors. `tiny`: of
    make_model_goldens.py."""
    sibling, noise = sibling_prompt(method, prompt), noisy(method)

    def logits(tokens: list) -> np.ndarray:
        if not getattr(method, "attention", None):
            return tiny.transformers_output(prompt, tokens).logits[0, -1].numpy()
        decoder = ChangedDecoder(tiny.model, tiny.spec["profile"]["sink_dimensions"])
        embeddings = decoder.embed(prompt, tiny.image_features(prompt), tokens)
        return decoder.forward(embeddings, prompt, method.attention).logits[-1]

    tokens, combined, cut_gap, greedy_gap = [], [], math.inf, math.inf
    for t in range(1, num_tokens + 1):
        of_sibling = tiny.transformers_output(sibling, tokens, noise).logits[0, -1].numpy()
        scores, gap = method.combine(logits(tokens).astype(float), of_sibling.astype(float), t)
        second, best = np.sort(scores)[-2:]
        cut_gap, greedy_gap = min(cut_gap, gap), min(greedy_gap, float(best - second))
        combined.append(scores)
        tokens.append(int(scores.argmax()))
        if tokens[-1] == IMAGE_TOKEN:  # transformers would look for one more picture
            greedy_gap = 0.0
            break
    facts = {
        "name": name,
        "input_ids": prompt.input_ids,
        "spans": prompt.spans,
        "sibling": {"input_ids": sibling.input_ids, "spans": sibling.spans},
        "method": type(method).__name__.lower(),
        "settings": json.loads(json.dumps(asdict(method))),
        "gap": cut_gap,
        "greedy_gap": min(greedy_gap, MOST_GAP),
    }
    return facts, {f"{name}/tokens": np.array(tokens), f"{name}/step_logits": np.stack(combined).astype(np.float32)}
