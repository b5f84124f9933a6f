"""Alignment: the targets of patches, and that the aligned projector reaches them."""

import unittest
from unittest.mock import patch

import numpy as np
import torch

from scenes.objects import load_objects
from scenes.scene import SIDE, Difficulty
from tests.made_up import scene_maker
from training import alignment
from training.alignment import NUM_PLACES, Patches, concepts, label_patches, locate_patches

GRID = 16


class LabelTest(unittest.TestCase):
    def test_labels_and_places_agree_with_the_scene(self) -> None:
        checked = 0
        for index in range(20):
            scene = scene_maker().make("test", index, Difficulty.NORMAL)
            labels, places = label_patches(scene, GRID), locate_patches(scene, GRID)
            for placed in scene.placed:
                column, row = (int(at * GRID / SIDE) for at in placed.center)
                at = row * GRID + column
                owner = scene.owner[row * 14 : row * 14 + 14, column * 14 : column * 14 + 14]
                if (owner == scene.placed.index(placed)).all():
                    self.assertEqual(concepts()[labels[at]], placed.object.name)
                    np.testing.assert_allclose(places[at, :2], [2 * column / 15 - 1, 2 * row / 15 - 1], atol=1e-6)
                    self.assertLess(np.abs(places[at, 2:4]).max(), 0.5)
                    self.assertGreater(places[at, 4], 0)
                    checked += 1
            background = labels >= len(load_objects())
            self.assertTrue((places[background, 2:] == 0).all())
        self.assertGreater(checked, 20)


class AlignTest(unittest.TestCase):
    def test_projected_patches_say_what_and_where_they_are(self) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        width, number = 64, 2000
        labels = torch.randint(0, len(concepts()), (12,))[torch.randint(12, (number,))]  # a dozen of all concepts
        places = torch.rand(number, NUM_PLACES) * 2 - 1
        code = torch.randn(len(concepts()) + NUM_PLACES, 128)
        inputs = torch.cat([torch.nn.functional.one_hot(labels, len(concepts())).float(), places], dim=1)
        features = 3 + 5 * inputs @ code
        names = torch.randn(len(concepts()), width)
        directions = torch.linalg.qr(torch.randn(width, NUM_PLACES))[0].T
        names -= names @ directions.T @ directions
        patches = Patches(features.half(), labels, places)
        with patch.multiple(alignment, STEPS=1000, BATCH=128):
            projector = alignment.align(patches, patches, names, directions)
        said = projector(features).detach()
        length = names.norm(dim=-1).mean()
        located = said @ directions.T / (torch.tensor(alignment.PLACE_LENGTHS) * length)
        self.assertLess((located - places).square().mean(), 0.2 * places.var())
        said -= said @ directions.T @ directions
        nearest = (said @ torch.nn.functional.normalize(names, dim=-1).T).argmax(dim=-1)
        self.assertGreater((nearest == labels).float().mean(), 0.9)


class RealignTest(unittest.TestCase):
    def test_patches_say_more_clearly_what_they_said(self) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        width, number = 64, 4000
        labels = torch.randint(len(load_objects()), (12,))[torch.randint(12, (number,))]
        code = torch.randn(len(concepts()), 128)
        features = (code[labels] + 3 * torch.randn(number, 128)).half()
        projector = alignment.make_projector(128, width)
        directions = torch.linalg.qr(torch.randn(width, NUM_PLACES))[0].T
        before = projector(features.float()).detach()
        means = torch.stack([before[labels == label].mean(dim=0) for label in labels.unique()])
        with patch.multiple(alignment, REALIGNMENT_STEPS=300, BATCH=128):
            alignment.realign(projector, Patches(features, labels, torch.zeros(number, NUM_PLACES)), directions)
        after = projector(features.float()).detach()

        def right(said: torch.Tensor) -> float:
            nearest = torch.cdist(said, means).argmin(dim=-1)
            return (labels.unique()[nearest] == labels).float().mean().item()  # of patches

        self.assertGreater(right(after), right(before) + 0.1)
        self.assertLess((after - before).square().mean(), before.var(dim=0).mean())


if __name__ == "__main__":
    unittest.main()
