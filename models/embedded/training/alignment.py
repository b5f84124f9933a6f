"""First stage: the projector alone, without the decoder.

Every patch's projected feature shall look like the embedding of the word for what covers the patch: an
object's name or the background's colour. A few minutes of this spare the decoder hours of finding out which
feature means which word.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import nn

from scenes.colors import COLORS
from scenes.objects import load_objects
from scenes.scene import PHOTOGRAPH, Difficulty, Scene, SceneMaker
from training.features import VisionTower

UNCLEAR = -1  # the label of patches covered by an object a little
COVERED, UNCOVERED = 0.35, 0.05  # share of a patch's pixels from which, and up to which, it counts as such
BATCH = 2048  # patches
STEPS = 2000
PEAK_RATE = 1e-3
BACKGROUND_WEIGHT = 0.15
SHARPNESS = 20.0  # of the softmax over cosines
NORM_WEIGHT = 0.1  # of keeping features as long as embeddings are


def concepts() -> list[str]:
    return [item.name for item in load_objects()] + [*COLORS, PHOTOGRAPH]


def make_projector(tower_width: int, decoder_width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(tower_width, decoder_width), nn.GELU(), nn.Linear(decoder_width, decoder_width)
    )


def label_patches(scene: Scene, grid: int) -> np.ndarray:
    """=> [P] index into concepts(), or UNCLEAR"""
    index = {name: at for at, name in enumerate(concepts())}
    side = len(scene.owner) // grid
    patches = scene.owner.reshape(grid, side, grid, side).swapaxes(1, 2).reshape(grid * grid, side * side)
    shares = np.stack([(patches == at).mean(axis=1) for at in range(len(scene.placed))])  # [objects, P]
    names = np.array([index[placed.object.name] for placed in scene.placed])
    labels = np.full(grid * grid, UNCLEAR)
    labels[shares.sum(axis=0) <= UNCOVERED] = index[scene.background]
    clear = shares.max(axis=0) >= COVERED
    labels[clear] = names[shares.argmax(axis=0)[clear]]
    return labels


@dataclass(frozen=True)
class Patches:
    features: torch.Tensor  # [N, Cv] f16
    labels: torch.Tensor  # [N]


def patches_of(maker: SceneMaker, tower: VisionTower, split: str, indices: range) -> Patches:
    features, labels = [], []
    for index in indices:
        scene = maker.make(split, index, Difficulty.NORMAL)
        features.append(tower.features(scene.picture).half())
        labels.append(torch.from_numpy(label_patches(scene, tower.grid)))
    flat = torch.cat(labels)
    return Patches(torch.cat(features)[flat != UNCLEAR], flat[flat != UNCLEAR])


def name_embeddings(tokenizer: Tokenizer, embeddings: torch.Tensor) -> torch.Tensor:
    """The mean embedding of each concept's tokens, as they stand inside a sentence. => [concepts, C]"""
    return torch.stack([embeddings[tokenizer.encode(f" {name}").ids].mean(dim=0) for name in concepts()])


def align(train: Patches, held_out: Patches, names: torch.Tensor) -> nn.Sequential:
    projector = make_projector(train.features.shape[1], names.shape[1])
    directions = F.normalize(names, dim=-1)
    length = names.norm(dim=-1).mean()
    weights = torch.where(torch.arange(len(names)) < len(load_objects()), 1.0, BACKGROUND_WEIGHT)
    optimizer = torch.optim.AdamW(projector.parameters(), PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, STEPS)
    generator = torch.Generator().manual_seed(0)
    for step in range(1, STEPS + 1):
        batch = torch.randint(len(train.labels), (BATCH,), generator=generator)
        projected = projector(train.features[batch].float())  # [B, C]
        cosines = F.normalize(projected, dim=-1) @ directions.T  # [B, concepts]
        naming = F.cross_entropy(SHARPNESS * cosines, train.labels[batch], weight=weights)
        stretching = (projected.norm(dim=-1) / length - 1).square().mean()
        optimizer.zero_grad()
        (naming + NORM_WEIGHT * stretching).backward()
        optimizer.step()
        schedule.step()
        if step % 500 == 0:
            on_objects, on_background = _accuracy(projector, held_out, directions)
            print(
                f"alignment {step}/{STEPS}: loss {naming.item():.3f}, held-out patches right: "
                f"objects {on_objects:.1%}, background {on_background:.1%}",
                flush=True,
            )
    return projector


@torch.no_grad()
def _accuracy(projector: nn.Sequential, patches: Patches, directions: torch.Tensor) -> tuple[float, float]:
    right = (projector(patches.features.float()) @ directions.T).argmax(dim=-1) == patches.labels
    objects = patches.labels < len(load_objects())
    return right[objects].float().mean().item(), right[~objects].float().mean().item()
