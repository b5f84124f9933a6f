"""Second stage: vision tower, projector and decoder learn to answer questions about scenes.

Scenes are generated as needed and never repeat. Everything in a step depends only on its number, so that training
resumes after an interruption as if there had been none.

On a CPU, several single-threaded processes each train on one scene at a time and synchronize once per step. With a GPU,
one process trains on all scenes of a step at once, and the others generate them.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable

import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader

from training.learner import Learner
from training.lessons import Lesson, Lessons
from training.plan import ADAPTER_RATE, PROJECTOR_RATE, Plan
from training.processes import start_process

MAX_GRADIENT_NORM = 1.0
CHECKPOINT_SECONDS = 600
LOG_STEPS = 10
VALIDATION_SCENES = 32

# Lessons of one step, in groups that are processed together.
Lots = Iterable[list[Lesson]]


def work_on_cpu(rank: int, workers: int, port: int, plan: Plan) -> None:
    """One of the processes that train together; they connect through a port of this machine."""
    start_process()
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=workers)
    learner = Learner(plan, torch.device("cpu"))
    lessons = Lessons(plan, learner.num_visual)

    def steps(first: int) -> Iterable[Lots]:
        for step in range(first, plan.steps):
            scenes = range(step * plan.batch, (step + 1) * plan.batch)[rank::workers]
            yield ([lessons[scene]] for scene in scenes)

    exam = [[lessons.exam(scene)] for scene in range(rank, VALIDATION_SCENES, workers)]
    _train(plan, learner, steps, exam)
    dist.destroy_process_group()


def work_on_gpu(workers: int, plan: Plan, device: torch.device) -> None:
    torch.set_float32_matmul_precision("high")
    learner = Learner(plan, device)

    def steps(first: int) -> Iterable[Lots]:
        loader = DataLoader(
            Lessons(plan, learner.num_visual),
            plan.batch,
            sampler=range(first * plan.batch, plan.steps * plan.batch),
            collate_fn=list,
            num_workers=workers,
            multiprocessing_context="spawn",
            prefetch_factor=4,
        )
        return ([step] for step in loader)

    # Separate lessons: their sources would otherwise be sent to every process.
    lessons = Lessons(plan, learner.num_visual)
    begins = range(0, VALIDATION_SCENES, plan.batch)
    exam = [[lessons.exam(begin + at) for at in range(min(plan.batch, VALIDATION_SCENES - begin))] for begin in begins]
    _train(plan, learner, steps, exam)


def _train(plan: Plan, learner: Learner, steps: Callable[[int], Iterable[Lots]], exam: Lots) -> None:
    parameters = list(learner.parameters().values())
    optimizer = torch.optim.AdamW(
        [
            {"params": list(learner.adapters.values()), "peak": plan.peak(ADAPTER_RATE)},
            {"params": list(learner.projector.values()), "peak": plan.peak(PROJECTOR_RATE)},
        ],
        lr=0.0,
        betas=(0.9, 0.99),
        weight_decay=0.0,
    )
    first, seconds = _restore(plan, learner, optimizer)
    rank = dist.get_rank() if dist.is_initialized() else 0
    saved = time.monotonic()
    start = saved - seconds
    losses: list[float] = []
    for step, lots in enumerate(steps(first), first):
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * plan.rate(step)
        losses.append(_step(learner, parameters, optimizer, lots))
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss of step {step} is {losses[-1]}")

        done = step + 1
        elapsed = time.monotonic() - start
        if rank == 0 and done % LOG_STEPS == 0:
            pace = (elapsed - seconds) / (done - first)  # seconds per step
            print(
                f"language {done}/{plan.steps}: loss {sum(losses) / len(losses):.4f}, "
                f"rate {plan.rate(step):.2f}, {plan.batch / pace:.2f} scenes a second, {elapsed / 3600:.2f} h, "
                f"{pace * (plan.steps - done) / 3600:.2f} h to go",
                flush=True,
            )
            losses.clear()
        if done % plan.validate_every == 0 or done == plan.steps:
            _report(learner, exam, rank, done)
        if rank == 0 and (time.monotonic() - saved > CHECKPOINT_SECONDS or done == plan.steps):
            _save(plan, learner, optimizer, done, elapsed)
            saved = time.monotonic()


def _step(learner: Learner, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer, lots: Lots) -> float:
    """=> the loss per weight"""
    total = torch.zeros(2, device=parameters[0].device)  # summed loss, weights
    for lessons in lots:
        loss, weight = learner.loss(lessons)
        loss.backward()
        total += torch.stack([loss.detach(), weight])
    flat = torch.cat([total, *(parameter.grad.flatten() for parameter in parameters)])
    if dist.is_initialized():
        dist.all_reduce(flat)
    loss, weight = flat[:2].tolist()
    sizes = [parameter.numel() for parameter in parameters]
    for parameter, gradient in zip(parameters, flat[2:].split(sizes), strict=True):
        parameter.grad.copy_(gradient.view_as(parameter) / weight)
    nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
    optimizer.step()
    for parameter in parameters:
        parameter.grad.zero_()
    return loss / weight


def _report(learner: Learner, exam: Lots, rank: int, step: int) -> None:
    counts = [learner.judge(lessons) for lessons in exam]
    if dist.is_initialized():
        gathered: list = [None] * dist.get_world_size()
        dist.all_gather_object(gathered, counts)
        counts = [count for part in gathered for count in part]
    if rank == 0:
        right, asked = (sum(parts, Counter()) for parts in zip(*counts, strict=True))
        table = "  ".join(f"{kind} {right[kind]}/{number}" for kind, number in sorted(asked.items()))
        share = sum(right.values()) / sum(asked.values())
        print(f"validation at {step}: {share:.1%} exact  {table}", flush=True)


def _save(plan: Plan, learner: Learner, optimizer: torch.optim.Optimizer, step: int, seconds: float) -> None:
    state = {
        "parameters": learner.parameters(),
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
    """=> the step to resume with, and the seconds spent so far"""
    if not plan.checkpoint.exists():
        return 0, 0.0
    state = torch.load(plan.checkpoint, map_location="cpu")
    for name, parameter in learner.parameters().items():
        parameter.copy_(state["parameters"][name])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["seconds"]
