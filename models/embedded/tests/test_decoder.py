"""Training on scenes together is the same as training on each alone."""

import unittest
from unittest.mock import patch

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from recipe import smollm2
from training import lora
from training.decoder import Decoder
from training.packing import IGNORED, EncodedConversation, Packed, batch_of, pack

NUM_VISUAL, WIDTH = 5, 32
CPU = torch.device("cpu")


def decoder() -> Decoder:
    config = {
        "vocab_size": 50,
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    }
    torch.manual_seed(0)
    weights = LlamaForCausalLM(LlamaConfig(**config)).state_dict()
    weights.pop("lm_head.weight")
    source = smollm2.Decoder(config, {name: value.numpy() for name, value in weights.items()}, {})
    # In bfloat16, sums depend on the shapes of the products, by far more than a wrong mask would change.
    with patch.object(lora, "products_of", return_value=torch.float32):
        made = Decoder(source, CPU)
    for adapter in made.adapters().values():
        torch.nn.init.normal_(adapter, std=0.1)
    return made


def conversation(rng: np.random.Generator, length: int, with_picture: bool = True) -> EncodedConversation:
    ids = rng.integers(50, size=length).tolist()
    answer = length // 2
    labels, weights = [IGNORED] * answer + ids[answer:], [0.0] * answer + [1.0] * (length - answer)
    return EncodedConversation(ids, labels, weights, with_picture)


def sequences() -> list[Packed]:
    rng = np.random.default_rng(0)
    talks = [[(7, True), (60, True), (80, False)], [(9, False)], [(50, True), (55, True), (12, True)]]
    return [pack([conversation(rng, *talk) for talk in each], NUM_VISUAL, 1000)[0] for each in talks]


class DecoderTest(unittest.TestCase):
    def test_together_gives_what_each_gives_alone(self) -> None:
        made, packed = decoder(), sequences()
        visual = torch.randn(len(packed), NUM_VISUAL, WIDTH)
        together, tokens = made(visual, batch_of(packed, CPU))
        alone = [made(visual[[at]], batch_of([each], CPU)) for at, each in enumerate(packed)]
        torch.testing.assert_close(together, torch.cat([logits for logits, _ in alone]), atol=1e-4, rtol=1e-4)
        self.assertEqual(tokens.tolist(), torch.cat([answers for _, answers in alone]).tolist())
        self.assertGreater(len(packed[0].blocks), 1)

    def test_a_conversation_gives_what_it_gives_without_its_neighbours(self) -> None:
        made = decoder()
        rng = np.random.default_rng(0)
        talks = [conversation(rng, 60), conversation(rng, 70)]
        visual = torch.randn(1, NUM_VISUAL, WIDTH)
        both, _ = made(visual, batch_of([pack(talks, NUM_VISUAL, 1000)[0]], CPU))
        second, _ = made(visual, batch_of([pack(talks[1:], NUM_VISUAL, 1000)[0]], CPU))
        torch.testing.assert_close(both[-len(second) :], second, atol=1e-4, rtol=1e-4)


class LoraTest(unittest.TestCase):
    def test_an_update_of_low_rank_is_the_same_in_ours(self) -> None:
        a, b = torch.randn(16, 40), torch.randn(30, 16)
        a[lora.RANK - 2 :] = 0  # so its rank is lower than its shape
        ours_a, ours_b = lora.of_our_rank(a, b, alpha=32.0)
        self.assertEqual((ours_a.shape, ours_b.shape), ((lora.RANK, 40), (30, lora.RANK)))
        torch.testing.assert_close(lora.ALPHA / lora.RANK * ours_b @ ours_a, 2.0 * b @ a, atol=1e-4, rtol=1e-4)


if __name__ == "__main__":
    unittest.main()
