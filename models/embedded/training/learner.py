"""The whole model during training: vision tower, projector and decoder."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import nn

from recipe.trained_part import LORA_A, LORA_B, TrainedPart, read_trained_part
from training import lora
from training.alignment import make_projector
from training.decoder import Decoder
from training.features import FEATURE_LAYERS, VisionTower
from training.lessons import Lesson
from training.packing import IGNORED, batch_of
from training.plan import Plan
from training.sources import Sources


class Learner:
    def __init__(self, plan: Plan, device: torch.device) -> None:
        self._device = device
        sources = Sources(plan.packages, plan.work)
        torch.manual_seed(0)
        self._tower = VisionTower(sources.tower, device)
        self._decoder = Decoder(sources.decoder, device)
        self._projector = make_projector(self._tower.width, self._decoder.embeddings.shape[1])
        self._projector.load_state_dict(torch.load(plan.projector))
        self._projector.to(device)
        self.num_visual = self._tower.grid**2
        self.adapters = {**self._tower.adapters(), **self._decoder.adapters()}
        self.projector = projector_parameters(self._projector)
        if plan.start:
            part = read_start(plan.start)
            take_adapters(self.adapters, part.tensors, part.lora_alpha)

    def parameters(self) -> dict[str, nn.Parameter]:
        """The trained parameters, with their names in the trained part's file."""
        return {**self.adapters, **self.projector}

    def loss(self, lessons: list[Lesson]) -> tuple[torch.Tensor, torch.Tensor]:
        """The weighted sum of the losses of the answers' tokens, and the sum of the weights."""
        logits, tokens, weights = self._answer(lessons)
        losses = F.cross_entropy(logits, tokens, reduction="none")
        return (weights * losses).sum(), weights.sum()

    @torch.no_grad()
    def judge(self, exam: list[Lesson]) -> tuple[Counter[str], Counter[str]]:
        """Questions answered exactly and questions asked, by kind. Greedy decoding gives an answer exactly if and
        only if each of its tokens is the most probable one after those before, so no decoding is needed."""
        right: Counter[str] = Counter()
        asked: Counter[str] = Counter()
        logits, tokens, _ = self._answer(exam)
        correct = (logits.argmax(dim=-1) == tokens).cpu().numpy()
        begin = 0
        for lesson in exam:
            talks = lesson.packed.conversation[lesson.packed.labels != IGNORED]  # the question that each token answers
            mine = correct[begin : begin + len(talks)]
            begin += len(talks)
            for at, kind in enumerate(lesson.kinds):
                asked[kind] += 1
                right[kind] += bool(mine[talks == at].all())
        return right, asked

    def _answer(self, lessons: list[Lesson]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """=> logits of the answers' tokens [A, V], the tokens [A], their weights [A]"""
        pixels = torch.stack([torch.from_numpy(lesson.pixels) for lesson in lessons]).to(self._device)
        batch = batch_of([lesson.packed for lesson in lessons], self._device)
        logits, tokens = self._decoder(self._projector(self._tower(pixels)), batch)
        return logits, tokens, batch.weights[batch.labels != IGNORED]


def read_start(path: Path) -> TrainedPart:
    part = read_trained_part(path)
    if part.vision_feature_layer != list(FEATURE_LAYERS):
        raise ValueError(f"the start reads hidden states {part.vision_feature_layer}, not {FEATURE_LAYERS}")
    return part


@torch.no_grad()
def take_projector(projector: nn.Module, part: TrainedPart) -> None:
    for name, parameter in projector_parameters(projector).items():
        parameter.copy_(torch.from_numpy(part.tensors[name]))


@torch.no_grad()
def take_adapters(adapters: dict[str, nn.Parameter], tensors: Mapping[str, ArrayLike], alpha: float) -> None:
    """Loads adapters, in the form of their singular vectors. Missing ones keep values that have no effect."""
    for name in adapters:
        if name in tensors and name.endswith(LORA_A):
            other = name.removesuffix(LORA_A) + LORA_B
            pair = (torch.as_tensor(tensors[key]) for key in (name, other))
            for key, value in zip((name, other), lora.of_our_rank(*pair, alpha), strict=True):
                adapters[key].copy_(value)


def projector_parameters(projector: nn.Module) -> dict[str, nn.Parameter]:
    """Names as in LlavaForConditionalGeneration."""
    names = {"0": "linear_1", "2": "linear_2"}
    return {
        f"multi_modal_projector.{names[layer]}.{kind}": parameter
        for name, parameter in projector.named_parameters()
        for layer, kind in [name.split(".")]
    }
