"""Compresses the trained part to a size fit for a repository: every line of numbers has the coarsest steps that the
loss allows.

Rounding to steps of size d adds about F d^2 / 24 to the loss, where F, the sum of squared gradients (the diagonal of
Fisher's information), measures how sensitive the loss is. For the smallest loss at a given size all lines should add
the same, so d = c / sqrt(F), with one c for all. Low-rank updates are in the form of their singular vectors, where some
lines matter far more than others.
"""

import zlib

import numpy as np
import torch
from safetensors.numpy import save

from recipe.trained_part import SCALE, line_axis
from training.learner import Learner
from training.lessons import Lessons

MOST_BYTES = 2_630_000  # compressed, as git stores it
SCENES = 28  # number of scenes, to measure the loss's sensitivity
MOST_STEPS = 127  # int8
HALVINGS = 18  # of the range of c
FINEST, COARSEST = 1e-9, 1.0


def compress(learner: Learner, lessons: Lessons, metadata: dict[str, str]) -> dict[str, np.ndarray]:
    """=> tensors in the form that recipe.trained_part reads"""
    minded = _minded(learner, lessons)
    parameters = {name: parameter.detach().cpu().numpy() for name, parameter in learner.parameters().items()}
    finest, coarsest = FINEST, COARSEST
    for _ in range(HALVINGS):
        middle = (finest * coarsest) ** 0.5
        if len(zlib.compress(save(rounded(parameters, minded, middle), metadata))) > MOST_BYTES:
            finest = middle
        else:
            coarsest = middle
    return rounded(parameters, minded, coarsest)


def _minded(learner: Learner, lessons: Lessons) -> dict[str, np.ndarray]:
    """The mean squared gradient of every line of every weight, over scenes"""
    squares = {name: torch.zeros_like(parameter) for name, parameter in learner.parameters().items()}
    for scene in range(SCENES):
        loss, weight = learner.loss([lessons[scene]])
        gradients = torch.autograd.grad(loss / weight, list(learner.parameters().values()))
        for square, gradient in zip(squares.values(), gradients, strict=True):
            square.add_(gradient**2)
    return {
        name: (square.mean(dim=line_axis(name)) / SCENES).cpu().numpy()
        for name, square in squares.items()
        if name.endswith(".weight")
    }


def rounded(parameters: dict[str, np.ndarray], minded: dict[str, np.ndarray], c: float) -> dict[str, np.ndarray]:
    """Weights as int8 and f16 steps, biases as f16."""
    tensors = {}
    for name, value in parameters.items():
        if name not in minded:
            tensors[name] = value.astype(np.float16)
            continue
        axis = line_axis(name)
        largest = np.abs(value).max(axis=axis)
        step = c / np.sqrt(minded[name] + np.finfo(np.float32).tiny)
        step = np.clip(step, largest / MOST_STEPS, largest).astype(np.float16)
        step = np.maximum(step, np.finfo(np.float16).tiny)
        steps = np.rint(value / np.expand_dims(step.astype(np.float32), axis))
        tensors[name] = np.clip(steps, -MOST_STEPS, MOST_STEPS).astype(np.int8)
        tensors[name + SCALE] = step
    return tensors
