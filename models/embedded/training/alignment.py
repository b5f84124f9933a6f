"""First stage: trains the projector alone, without the decoder.

Every patch's projected feature should resemble the embedding of the word for what covers the patch (an object's name or
the background's colour) and encode the patch's position along fixed directions. A few minutes of this save the decoder
hours of finding out which feature means what.

A projector that has since been trained with the decoder may be aligned again: the decoder's gradients reach few patches
at a time and leave the output for the others blurred.
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

UNCLEAR = -1  # label of partly covered patches
# share of a patch's pixels from which it counts as covered, and up to which as uncovered
COVERED, UNCOVERED = 0.35, 0.05
BACKGROUND_KEPT = 0.12  # share of background patches kept: there are many, and they are easy
BATCH = 1024  # patches
STEPS = 3000
PEAK_RATE = 2e-3
BACKGROUND_WEIGHT = 0.3
SHARPNESS = 20.0  # inverse temperature of the softmax over cosines
PULL_WEIGHT = 0.3  # weight of being close to the embedding itself, in addition to being closer to it than to others
PLACE_WEIGHT = 1.0
# Lengths of the place components, relative to embeddings: x of a patch in the picture, y, x in its object, y, the
# object's size. The decoder can infer part of y from a token's position, but nothing of x.
PLACE_LENGTHS = (0.6, 0.3, 0.3, 0.3, 0.3)
NUM_PLACES = len(PLACE_LENGTHS)
REALIGNMENT_STEPS, REALIGNMENT_RATE = 1200, 1e-3
# Weight of staying unchanged: if features were pulled to the means, the decoder could not read the result.
STAY_WEIGHT = 0.3


def concepts() -> list[str]:
    return [item.name for item in load_objects()] + [*COLORS, PHOTOGRAPH]


def make_projector(tower_width: int, decoder_width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(tower_width, decoder_width), nn.GELU(), nn.Linear(decoder_width, decoder_width))


def _shares(scene: Scene, grid: int) -> np.ndarray:
    """The share of each patch that each object covers. => [objects, P]"""
    side = len(scene.owner) // grid
    patches = scene.owner.reshape(grid, side, grid, side).swapaxes(1, 2).reshape(grid * grid, side * side)
    return np.stack([(patches == at).mean(axis=1) for at in range(len(scene.placed))])


def label_patches(scene: Scene, grid: int) -> np.ndarray:
    """=> [P] index into concepts(), or UNCLEAR"""
    index = {name: at for at, name in enumerate(concepts())}
    shares = _shares(scene, grid)
    names = np.array([index[placed.object.name] for placed in scene.placed])
    labels = np.full(grid * grid, UNCLEAR)
    labels[shares.sum(axis=0) <= UNCOVERED] = index[scene.background]
    clear = shares.max(axis=0) >= COVERED
    labels[clear] = names[shares.argmax(axis=0)[clear]]
    return labels


def locate_patches(scene: Scene, grid: int) -> np.ndarray:
    """=> [P, NUM_PLACES], about -1 to 1; the place in an object and its size are 0 on background"""
    shares = _shares(scene, grid)
    owner = np.where(shares.max(axis=0) >= COVERED, shares.argmax(axis=0), -1)
    rows, columns = np.divmod(np.arange(grid * grid), grid)
    at = np.stack([columns, rows], axis=1)  # [P, 2]
    places = np.zeros((grid * grid, NUM_PLACES), np.float32)
    places[:, :2] = 2 * at / (grid - 1) - 1
    for index in range(len(scene.placed)):
        own = owner == index
        if own.any():
            places[own, 2:4] = (at[own] - at[own].mean(axis=0)) / own.sum() ** 0.5
            places[own, 4] = np.log(own.sum()) / np.log(grid * grid)
    return places


@dataclass(frozen=True)
class Patches:
    features: torch.Tensor  # [N, Cv] f16
    labels: torch.Tensor  # [N]
    places: torch.Tensor  # [N, NUM_PLACES]


def patches_of(maker: SceneMaker, tower: VisionTower, split: str, indices: range, difficulty: Difficulty) -> Patches:
    rng = np.random.default_rng(indices.start)
    features, labels, places = [], [], []
    for index in indices:
        scene = maker.make(split, index, difficulty)
        label = label_patches(scene, tower.grid)
        on_background = label >= len(load_objects())
        kept = (label != UNCLEAR) & (~on_background | (rng.random(len(label)) < BACKGROUND_KEPT))
        features.append(tower.features(scene.picture)[torch.from_numpy(kept)].half())
        labels.append(torch.from_numpy(label[kept]))
        places.append(torch.from_numpy(locate_patches(scene, tower.grid)[kept]))
    return Patches(torch.cat(features), torch.cat(labels), torch.cat(places))


def name_embeddings(tokenizer: Tokenizer, embeddings: torch.Tensor) -> torch.Tensor:
    """The mean embedding of each concept's tokens, in the form used inside a sentence. => [concepts, C]"""
    return torch.stack([embeddings[tokenizer.encode(f" {name}").ids].mean(dim=0) for name in concepts()])


def place_directions(tokenizer: Tokenizer, embeddings: torch.Tensor) -> torch.Tensor:
    """Unit directions for the places: the words' directions for left to right and top to bottom, random ones for the
    rest. => [NUM_PLACES, C]"""

    def word(text: str) -> torch.Tensor:
        return embeddings[tokenizer.encode(f" {text}").ids].mean(dim=0)

    generator = torch.Generator().manual_seed(0)
    chance = torch.randn(NUM_PLACES - 2, embeddings.shape[1], generator=generator)
    right, down = word("right") - word("left"), word("bottom") + word("below") - word("top") - word("above")
    q, r = torch.linalg.qr(torch.stack([right, down, *chance]).T)  # [C, NUM_PLACES]
    return (q * r.diagonal().sign()).T


def align(train: Patches, held_out: Patches, names: torch.Tensor, directions: torch.Tensor) -> nn.Sequential:
    """Trains the projector: names [concepts, C] are the targets of the concepts, directions [NUM_PLACES, C] those of
    the places."""
    projector = make_projector(train.features.shape[1], names.shape[1])
    names = names - names @ directions.T @ directions
    length, lengths = names.norm(dim=-1).mean(), torch.tensor(PLACE_LENGTHS)
    weights = torch.where(torch.arange(len(names)) < len(load_objects()), 1.0, BACKGROUND_WEIGHT)
    sample = train.features[:: max(1, len(train.features) // 20000)].float()
    mean, deviation = sample.mean(dim=0), sample.std(dim=0)
    optimizer = torch.optim.AdamW(projector.parameters(), PEAK_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, STEPS)
    generator = torch.Generator().manual_seed(0)
    for step in range(1, STEPS + 1):
        batch = torch.randint(len(train.labels), (BATCH,), generator=generator)
        projected = projector((train.features[batch].float() - mean) / deviation)  # [B, C]
        name, place = _split(projected, directions)
        labels = train.labels[batch]
        naming = F.cross_entropy(SHARPNESS * _cosines(name, names), labels, weight=weights)
        pull = ((name - names[labels]) / length).square().sum(dim=-1).mean()
        placing = (place / (lengths * length) - train.places[batch]).square().mean()
        optimizer.zero_grad()
        (naming + PULL_WEIGHT * pull + PLACE_WEIGHT * placing).backward()
        optimizer.step()
        schedule.step()
        if step % 500 == 0:
            projected = projector((held_out.features.float() - mean) / deviation).detach()
            print(f"alignment {step}/{STEPS}: {_judge(projected, held_out, names, directions)}", flush=True)
    _fold(projector[0], mean, deviation)
    return projector


def realign(projector: nn.Sequential, train: Patches, directions: torch.Tensor) -> None:
    """Moves each patch's feature, as projected now, closer to the mean of its own concept than to other means;
    otherwise it should stay unchanged."""
    before = torch.cat([projector(part.float()).detach() for part in train.features.split(8 * BATCH)])  # [N, C]
    present, labels, numbers = train.labels.unique(return_inverse=True, return_counts=True)
    sums = torch.zeros(len(present), before.shape[1]).index_add_(0, labels, before)
    means, _ = _split(sums / numbers[:, None], directions)
    length = (means - means.mean(dim=0)).norm(dim=-1).mean()
    weights = torch.where(present < len(load_objects()), 1.0, BACKGROUND_WEIGHT)
    optimizer = torch.optim.AdamW(projector.parameters(), REALIGNMENT_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, REALIGNMENT_RATE, REALIGNMENT_STEPS)
    generator = torch.Generator().manual_seed(0)
    for step in range(1, REALIGNMENT_STEPS + 1):
        batch = torch.randint(len(labels), (BATCH,), generator=generator)
        projected = projector(train.features[batch].float())  # [B, C]
        name, _ = _split(projected, directions)
        cosines = _cosines(name, means)
        naming = F.cross_entropy(SHARPNESS * cosines, labels[batch], weight=weights)
        staying = ((projected - before[batch]) / length).square().sum(dim=-1).mean()
        optimizer.zero_grad()
        (naming + STAY_WEIGHT * staying).backward()
        optimizer.step()
        schedule.step()
        if step % 300 == 0:
            right = (cosines.argmax(dim=-1) == labels[batch]).float().mean()
            print(f"realignment {step}/{REALIGNMENT_STEPS}: patches right {right:.1%}", flush=True)


def _split(projected: torch.Tensor, directions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """=> the part orthogonal to the places [B, C], and the places' components [B, NUM_PLACES]"""
    place = projected @ directions.T
    return projected - place @ directions, place


def _cosines(name: torch.Tensor, names: torch.Tensor) -> torch.Tensor:
    """Cosines relative to the mean of all names. => [B, concepts]"""
    middle = names.mean(dim=0)
    return F.normalize(name - middle, dim=-1) @ F.normalize(names - middle, dim=-1).T


@torch.no_grad()
def _fold(linear: nn.Linear, mean: torch.Tensor, deviation: torch.Tensor) -> None:
    """Changes linear((x - mean) / deviation) to linear(x)."""
    linear.weight /= deviation
    linear.bias -= linear.weight @ mean


def _judge(projected: torch.Tensor, patches: Patches, names: torch.Tensor, directions: torch.Tensor) -> str:
    name, place = _split(projected, directions)
    right = _cosines(name, names).argmax(dim=-1) == patches.labels
    objects = patches.labels < len(load_objects())
    place /= torch.tensor(PLACE_LENGTHS) * names.norm(dim=-1).mean()
    missed = (place - patches.places).square().mean(dim=0) / patches.places.var(dim=0)
    explained = ", ".join(f"{1 - share:.2f}" for share in missed.tolist())
    return (
        f"held-out patches right: objects {right[objects].float().mean():.1%}, "
        f"background {right[~objects].float().mean():.1%}; variance of places explained: {explained}"
    )
