"""A packed conversation sees the same as it would alone."""

import unittest

import numpy as np
import torch

from training.packing import BLOCK, IGNORED, EncodedConversation, Packed, batch_of, pack

NUM_VISUAL, MOST_TEXT = 6, 12


def conversation(first: int, length: int, with_picture: bool = True) -> EncodedConversation:
    ids = list(range(first, first + length))
    labels, weights = [IGNORED] * (length - 1) + ids[-1:], [0.0] * (length - 1) + [1.0]
    return EncodedConversation(ids, labels, weights, with_picture)


def visible(packed: Packed) -> torch.Tensor:
    """The tokens that each text token sees. => [T, P + T]"""
    return batch_of([packed], torch.device("cpu")).visible[0, NUM_VISUAL:]


class PackTest(unittest.TestCase):
    def test_positions_follow_the_picture_in_every_conversation(self) -> None:
        packed, _ = pack([conversation(10, 4), conversation(20, 3, with_picture=False)], NUM_VISUAL, MOST_TEXT)
        self.assertEqual(packed.positions[:NUM_VISUAL].tolist(), [0, 1, 2, 3, 4, 5])
        self.assertEqual(packed.positions[NUM_VISUAL:].tolist(), [6, 7, 8, 9, 0, 1, 2])

    def test_each_token_sees_the_picture_and_its_own_past(self) -> None:
        packed, _ = pack([conversation(10, 4), conversation(20, 3, with_picture=False)], NUM_VISUAL, MOST_TEXT)
        seen = [row.nonzero()[:, 0].tolist() for row in visible(packed)]
        picture = list(range(NUM_VISUAL))
        self.assertEqual(seen[0], [*picture, 6])
        self.assertEqual(seen[3], [*picture, 6, 7, 8, 9])
        self.assertEqual(seen[4], [10])
        self.assertEqual(seen[6], [10, 11, 12])

    def test_blocks_are_whole_conversations(self) -> None:
        lengths = [BLOCK - 30, 20, 20, BLOCK + 5, 10]
        packed, _ = pack([conversation(10, length) for length in lengths], NUM_VISUAL, 10 * BLOCK)
        ends = [BLOCK - 10, BLOCK + 10, 2 * BLOCK + 15, 2 * BLOCK + 25]
        self.assertEqual([block.stop for block in packed.blocks], ends)
        self.assertEqual([block.start for block in packed.blocks], [0, *ends[:-1]])
        for block in packed.blocks:
            outside = visible(packed)[block, NUM_VISUAL:].clone()
            outside[:, block] = False
            self.assertFalse(outside.any())

    def test_leaves_out_what_does_not_fit(self) -> None:
        packed, taken = pack([conversation(10, 7), conversation(20, 9), conversation(40, 5)], NUM_VISUAL, MOST_TEXT)
        self.assertEqual(taken, [0, 2])
        self.assertEqual(packed.ids.tolist(), [*range(10, 17), *range(40, 45)])

    def test_learns_only_what_is_labelled(self) -> None:
        packed, _ = pack([conversation(10, 4)], NUM_VISUAL, MOST_TEXT)
        self.assertEqual(np.flatnonzero(packed.labels != IGNORED).tolist(), [3])
        self.assertEqual(packed.labels[3], 13)
        self.assertEqual(np.flatnonzero(packed.weights > 0).tolist(), [3])
        self.assertEqual(len(packed.ids), 4)


if __name__ == "__main__":
    unittest.main()
