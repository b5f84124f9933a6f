"""Train the embedded model's own part: the projector, and low-rank updates of vision tower and decoder.

Stages, each skipped if its result is already in the work folder:
  projector.pt         the projector aligned with the decoder's word embeddings, or the start's aligned again
  chat.json            the decoder's own answers to plain questions, so that it does not forget how to chat
  checkpoint.pt        the language stage, saved every ten minutes; the same command resumes it
  trained.safetensors  the result, for build.py --trained

Packages: a folder filled by fetch.py.
Python packages needed: requirements-training.lock in this folder.
"""

import argparse
import json
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing
from safetensors.numpy import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from scenes.scene import SIDE, Difficulty
from training import alignment, chat, language, lora
from training.compression import compress
from training.features import FEATURE_LAYERS, VisionTower
from training.learner import Learner, read_start, take_adapters, take_projector
from training.lessons import Lessons
from training.packing import Turn
from training.plan import Plan
from training.processes import start_process
from training.sources import Sources

ALIGNMENT_SCENES = {Difficulty.CROWD: 3500, Difficulty.NORMAL: 1500, Difficulty.SINGLE: 1500, Difficulty.HARD: 500}
REALIGNMENT_SCENES = {Difficulty.CROWD: 1000, Difficulty.NORMAL: 500, Difficulty.SINGLE: 1500}
ALIGNMENT_HELD_OUT = {Difficulty.NORMAL: 150}
CHUNK = 50  # scenes or questions a process takes at a time
LOG_CHUNKS = 10


def align_projector(sources: Sources, workers: int, start: Path | None, result: Path) -> None:
    embeddings = torch.tensor(sources.decoder.weights["model.embed_tokens.weight"])
    directions = alignment.place_directions(sources.tokenizer, embeddings)
    scenes = REALIGNMENT_SCENES if start else ALIGNMENT_SCENES
    train = _patches(sources, workers, "train", scenes, start)
    print(f"alignment: {len(train.labels)} patches of {sum(scenes.values())} scenes", flush=True)
    if start:
        projector = alignment.make_projector(train.features.shape[1], embeddings.shape[1])
        take_projector(projector, read_start(start))
        alignment.realign(projector, train, directions)
    else:
        names = alignment.name_embeddings(sources.tokenizer, embeddings)
        held_out = _patches(sources, workers, "validation", ALIGNMENT_HELD_OUT, start)
        projector = alignment.align(train, held_out, names, directions)
    _keep(result, lambda path: torch.save(projector.state_dict(), path))


def _patches(
    sources: Sources, workers: int, split: str, scenes: dict[Difficulty, int], start: Path | None
) -> alignment.Patches:
    chunks = [
        (split, range(begin, min(begin + CHUNK, number)), difficulty)
        for difficulty, number in scenes.items()
        for begin in range(0, number, CHUNK)
    ]
    parts = []
    with _processes(workers, partial(_open_scenes, start), sources) as pool:
        for part in pool.map(_chunk_patches, chunks):
            parts.append(part)
            if len(parts) % LOG_CHUNKS == 0:
                print(f"alignment: saw {len(parts)}/{len(chunks)} chunks of {CHUNK} {split} scenes", flush=True)
    return alignment.Patches(*(torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*parts, strict=True)))


def _processes(number: int, initializer: Callable[[Path, Path], None], sources: Sources) -> ProcessPoolExecutor:
    # Each process reads its own sources: they are too large to send.
    paths = (sources.packages, sources.cache)
    return ProcessPoolExecutor(number, multiprocessing.get_context("spawn"), initializer, paths)


def _open_scenes(start: Path | None, packages: Path, cache: Path) -> None:
    start_process()
    sources = Sources(packages, cache)
    _chunk_patches.maker = sources.scene_maker()
    _chunk_patches.tower = VisionTower(sources.tower)
    if start:
        part = read_start(start)
        take_adapters(_chunk_patches.tower.adapters(), part.tensors, part.lora_alpha)


def _chunk_patches(chunk: tuple[str, range, Difficulty]) -> tuple[np.ndarray, ...]:
    patches = alignment.patches_of(_chunk_patches.maker, _chunk_patches.tower, *chunk)
    return patches.features.numpy(), patches.labels.numpy(), patches.places.numpy()


def distill_chat(sources: Sources, workers: int, result: Path) -> None:
    questions = chat.prompts()
    chunks = [questions[begin : begin + CHUNK] for begin in range(0, len(questions), CHUNK)]
    with _processes(workers, _open_decoder, sources) as pool:
        turns = [turn for part in pool.map(_chunk_chat, chunks) for turn in part]
    _keep(result, lambda path: path.write_text(json.dumps([asdict(turn) for turn in turns], indent=1)))


def _open_decoder(packages: Path, cache: Path) -> None:
    start_process()
    sources = Sources(packages, cache)
    model = LlamaForCausalLM(LlamaConfig(**sources.decoder.config))
    weights = {name: torch.tensor(value) for name, value in sources.decoder.weights.items()}
    model.load_state_dict(weights | {"lm_head.weight": weights["model.embed_tokens.weight"]})
    _chunk_chat.model, _chunk_chat.tokenizer = model.eval(), sources.tokenizer


def _chunk_chat(questions: list[str]) -> list[Turn]:
    return chat.distill(_chunk_chat.model, _chunk_chat.tokenizer, questions)


def train_language(plan: Plan, workers: int) -> None:
    if torch.cuda.is_available():
        language.work_on_gpu(workers, plan, torch.device("cuda"))
        return
    workers = min(workers, plan.batch)  # others would have no scene to learn from
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(language.work_on_cpu, (workers, port, plan), nprocs=workers)


def export(plan: Plan) -> None:
    print("choosing what to round, and how much", flush=True)
    learner = Learner(plan, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    parameters = torch.load(plan.checkpoint, map_location="cpu")["parameters"]
    take_adapters(learner.adapters, parameters, lora.ALPHA)
    with torch.no_grad():
        for name, parameter in learner.projector.items():
            parameter.copy_(parameters[name])
    metadata = {
        "image_size": str(SIDE),
        "lora_alpha": f"{lora.ALPHA:g}",
        "vision_feature_layer": json.dumps(FEATURE_LAYERS),
    }
    tensors = compress(learner, Lessons(plan, learner.num_visual), metadata)
    _keep(plan.result, lambda path: save_file(tensors, path, metadata))
    print(f"wrote {plan.result}", flush=True)


def _keep(result: Path, write: Callable[[Path], object]) -> None:
    """Writes to another name and renames, so that a file of this name is always complete."""
    part = result.with_suffix(".part")
    write(part)
    part.rename(result)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, metavar="DIR", help="the packages' folder")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="stages' results and checkpoints")
    with_gpu = torch.cuda.is_available()
    parser.add_argument(
        "--scenes",
        type=int,
        default=60000 if with_gpu else 8000,
        help="scenes to learn from; may be changed midway (default: 8000, with a GPU 60000)",
    )
    parser.add_argument(
        "--batch", type=int, default=64 if with_gpu else 4, help="scenes per step (default: 4, with a GPU 64)"
    )
    parser.add_argument("--validate-every", type=int, default=150, metavar="STEPS", help="default: %(default)s")
    parser.add_argument(
        "--workers",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="processes of one thread each; with a GPU, which learns alone, they make scenes (default: one per core)",
    )
    parser.add_argument("--start", type=Path, metavar="FILE", help="a trained part to go on from")
    parser.add_argument(
        "--first-scene",
        type=int,
        default=0,
        metavar="N",
        help="with --start: how many scenes FILE has seen (default: %(default)s)",
    )
    parser.add_argument("--export", action="store_true", help="write the result of the last checkpoint and stop")
    args = parser.parse_args()

    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    plan = Plan(args.scenes, args.batch, args.validate_every, args.work, args.packages, args.start, args.first_scene)
    if not args.export:
        # Creates missing drawings before several processes need them.
        Sources(args.packages, args.work).scene_maker()
        align = partial(align_projector, start=args.start)
        for result, stage in ((plan.projector, align), (plan.chat, distill_chat)):
            if not result.exists():
                start = time.monotonic()
                print(f"making {result.name}", flush=True)
                stage(Sources(args.packages, args.work), args.workers, result=result)
                print(f"made {result.name} in {time.monotonic() - start:.0f} s", flush=True)
        train_language(plan, args.workers)
    export(plan)
    return 0


if __name__ == "__main__":
    sys.exit(main())
