"""Second stage: decoder (low-rank updates) and projector learn to answer questions about scenes.

Scenes are made as they are needed and never repeat. Everything a step does follows from its number, so
training goes on after an interruption as if there had been none.
"""

import json
import math
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from recipe.trained_part import TrainedPart, read_trained_part
from scenes.scene import Difficulty, Scene
from training.alignment import make_projector
from training.curriculum import conversations, single_questions
from training.decoder import Decoder
from training.features import FEATURE_LAYERS, VisionTower
from training.packing import ConversationEncoder, Turn, pack
from training.processes import start_process
from training.sources import Sources

# What share of scenes is how difficult, and how many text tokens stand behind their pictures. One object alone is
# quickly told.
SHARES = {Difficulty.NORMAL: 0.6, Difficulty.SINGLE: 0.3, Difficulty.HARD: 0.1}
MOST_TEXT = {Difficulty.NORMAL: 448, Difficulty.SINGLE: 160, Difficulty.HARD: 448}
WARM_UP = 100  # scenes
DECAY_SHARE = 0.6  # of all scenes, at the end, while the rate falls to zero
ADAPTER_RATE, PROJECTOR_RATE = 2e-4, 5e-5  # at their peak; with 1e-3 a trained part unlearns
MAX_GRADIENT_NORM = 1.0
CHECKPOINT_SECONDS = 600
LOG_STEPS = 10
VALIDATION_SCENES = 32


@dataclass(frozen=True)
class Plan:
    scenes: int  # to learn from in all
    batch: int  # scenes per step
    validate_every: int  # steps
    work: Path
    packages: Path
    start: Path | None = None  # a trained part whose adapters to go on from
    first_scene: int = 0  # behind those the start has seen, which teach it less

    @property
    def steps(self) -> int:
        return self.scenes // self.batch

    @property
    def checkpoint(self) -> Path:
        return self.work / "checkpoint.pt"

    def rate(self, step: int) -> float:
        """The learning rate as a share of its peak: up, steady, down to zero at the end."""
        done = step * self.batch
        left = self.scenes - done
        return min(1.0, (done + self.batch) / WARM_UP, left / (DECAY_SHARE * self.scenes))


class Learner:
    def __init__(self, plan: Plan):
        self._plan = plan
        sources = Sources(plan.packages, plan.work)
        self._scenes = sources.scene_maker()
        self._tower = VisionTower(sources.tower)
        self._encoder = ConversationEncoder(sources.tokenizer)
        self._chat = [Turn(**turn) for turn in json.loads((plan.work / "chat.json").read_text())]
        torch.manual_seed(0)
        self._decoder = Decoder(sources.decoder)
        self._projector = make_projector(self._tower.width, self._decoder.embeddings.shape[1])
        self.adapters = self._decoder.adapters()
        self.projector = projector_parameters(self._projector)
        self._projector.load_state_dict(torch.load(plan.work / "projector.pt"))
        if plan.start:
            take(self.adapters, read_trained_part(plan.start))

    def loss(self, index: int) -> tuple[torch.Tensor, float]:
        """Of the plan's scene `index`: the weighted sum of its answers' tokens' losses, and of the weights."""
        index += self._plan.first_scene
        # Alike for two neighbours, which two processes learn from at the same time.
        (difficulty,) = random.Random(f"difficulty/{index // 2}").choices(list(SHARES), list(SHARES.values()))
        rng = random.Random(f"questions/train/{index}")
        scene = self._scenes.make("train", index, difficulty)
        encoded = [self._encoder.encode(talk) for talk in conversations(scene, self._chat, rng)]
        visual = self._visual(scene)
        packed, _ = pack(encoded, len(visual), MOST_TEXT[difficulty])
        logits, tokens = self._decoder(visual, packed)
        weights = packed.weights[packed.weights > 0]
        losses = F.cross_entropy(logits, tokens, reduction="none")
        return (weights * losses).sum(), weights.sum().item()

    @torch.no_grad()
    def validate(self, indices: range) -> tuple[Counter[str], Counter[str]]:
        """Questions answered exactly and asked, by kind. Greedy decoding gives an answer exactly if and only
        if each of its tokens is the most probable after the ones before, so no decoding is needed."""
        right: Counter[str] = Counter()
        asked: Counter[str] = Counter()
        for index in indices:
            scene = self._scenes.make("validation", index, Difficulty.NORMAL)
            questions = single_questions(scene, random.Random(f"questions/validation/{index}"))
            encoded = [self._encoder.encode(talk) for _, talk in questions]
            visual = self._visual(scene)
            packed, taken = pack(encoded, len(visual), MOST_TEXT[Difficulty.NORMAL])
            logits, tokens = self._decoder(visual, packed)
            correct = (logits.argmax(dim=-1) == tokens).tolist()
            begin = 0
            for at in taken:
                end = begin + sum(label >= 0 for label in encoded[at].labels)
                kind = questions[at][0].kind
                asked[kind] += 1
                right[kind] += all(correct[begin:end])
                begin = end
        return right, asked

    def _visual(self, scene: Scene) -> torch.Tensor:
        return self._projector(self._tower.features(scene.picture))  # [P, C]


@torch.no_grad()
def take(parameters: dict[str, nn.Parameter], part: TrainedPart) -> None:
    if part.vision_feature_layer != list(FEATURE_LAYERS):
        raise ValueError(f"the start reads hidden states {part.vision_feature_layer}, not {FEATURE_LAYERS}")
    for name, parameter in parameters.items():
        parameter.copy_(torch.from_numpy(part.tensors[name]))


def projector_parameters(projector: nn.Sequential) -> dict[str, nn.Parameter]:
    """Named as in LlavaForConditionalGeneration."""
    names = {"0": "linear_1", "2": "linear_2"}
    return {
        f"multi_modal_projector.{names[layer]}.{kind}": parameter
        for name, parameter in projector.named_parameters()
        for layer, kind in [name.split(".")]
    }


def work(rank: int, workers: int, port: int, plan: Plan) -> None:
    """One of the processes that train together; they meet on a port of this machine."""
    start_process()
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=workers)
    learner = Learner(plan)
    parameters = [*learner.adapters.values(), *learner.projector.values()]
    optimizer = torch.optim.AdamW(
        [
            {"params": list(learner.adapters.values()), "peak": ADAPTER_RATE},
            {"params": list(learner.projector.values()), "peak": PROJECTOR_RATE},
        ],
        lr=0.0,
        betas=(0.9, 0.99),
        weight_decay=0.0,
    )
    first, seconds = _restore(plan, learner, optimizer)
    saved = time.monotonic()
    start = saved - seconds
    losses: list[float] = []
    for step in range(first, plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * plan.rate(step)
        losses.append(
            _step(learner, parameters, optimizer, range(step * plan.batch, (step + 1) * plan.batch))
        )

        done = step + 1
        elapsed = time.monotonic() - start
        if rank == 0 and done % LOG_STEPS == 0:
            pace = (elapsed - seconds) / (done - first)  # seconds per step
            print(
                f"language {done}/{plan.steps}: loss {sum(losses) / len(losses):.4f}, "
                f"rate {plan.rate(step):.2f}, {pace / plan.batch:.2f} s a scene, {elapsed / 3600:.2f} h, "
                f"{pace * (plan.steps - done) / 3600:.1f} h to go",
                flush=True,
            )
            losses.clear()
        if done % plan.validate_every == 0 or done == plan.steps:
            _report(learner, plan, done)
        if rank == 0 and (time.monotonic() - saved > CHECKPOINT_SECONDS or done == plan.steps):
            _save(plan, learner, optimizer, done, elapsed)
            saved = time.monotonic()
    dist.destroy_process_group()


def _step(
    learner: Learner, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer, indices: range
) -> float:
    total = torch.zeros(2)  # summed loss, weights
    for index in indices[dist.get_rank() :: dist.get_world_size()]:
        loss, weight = learner.loss(index)
        loss.backward()
        total += torch.tensor([loss.item(), weight])
    flat = torch.cat([total, *(parameter.grad.flatten() for parameter in parameters)])
    dist.all_reduce(flat)
    loss, weight = flat[:2].tolist()
    begin = 2
    for parameter in parameters:
        parameter.grad.copy_(flat[begin : begin + parameter.numel()].view_as(parameter) / weight)
        begin += parameter.numel()
    nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
    optimizer.step()
    for parameter in parameters:
        parameter.grad.zero_()
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss of scenes {indices} is {loss}")
    return loss / weight


def _report(learner: Learner, plan: Plan, step: int) -> None:
    rank, workers = dist.get_rank(), dist.get_world_size()
    gathered: list = [None] * workers
    dist.all_gather_object(gathered, learner.validate(range(rank, VALIDATION_SCENES, workers)))
    if rank == 0:
        right, asked = (sum(counts, Counter()) for counts in zip(*gathered, strict=True))
        table = "  ".join(f"{kind} {right[kind]}/{number}" for kind, number in sorted(asked.items()))
        share = sum(right.values()) / sum(asked.values())
        print(f"validation at {step}: {share:.1%} exact  {table}", flush=True)


def _save(plan: Plan, learner: Learner, optimizer: torch.optim.Optimizer, step: int, seconds: float) -> None:
    state = {
        "parameters": {**learner.adapters, **learner.projector},
        "optimizer": optimizer.state_dict(),
        "step": step,
        "seconds": seconds,
    }
    part = plan.checkpoint.with_suffix(".part")
    torch.save(state, part)
    part.rename(plan.checkpoint)
    print(f"checkpoint at {step}", flush=True)


@torch.no_grad()
def _restore(plan: Plan, learner: Learner, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """=> the step to go on with, and the seconds spent so far"""
    if not plan.checkpoint.exists():
        return 0, 0.0
    state = torch.load(plan.checkpoint)
    for name, parameter in {**learner.adapters, **learner.projector}.items():
        parameter.copy_(state["parameters"][name])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["seconds"]
