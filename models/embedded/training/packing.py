"""One picture and many conversations about it, packed into one sequence.

    [ visual tokens | conversation 1 | conversation 2 | ... ]

Every conversation sees the picture and itself, but no other conversation (whose answers would reveal its own), and its
positions follow the picture's as if it were alone. Conversations without a picture do not see it and count positions
from 0. So the decoder processes the expensive visual tokens once for a dozen questions.
"""

from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer

BLOCK = 96  # approximate number of text tokens
IGNORED = -100  # label of tokens that are not trained on
MULTIPLE = 8  # a batch's length is a multiple of this: kernels with a mask need aligned rows


@dataclass(frozen=True)
class Turn:
    question: str
    answer: str
    finished: bool = True  # False: the answer was cut off, so its end is not trained on


@dataclass(frozen=True)
class Conversation:
    turns: tuple[Turn, ...]
    with_picture: bool = True


@dataclass(frozen=True)
class EncodedConversation:
    ids: list[int]
    labels: list[int]  # ids of answers, IGNORED elsewhere
    weights: list[float]  # of the labels in the loss, 0 elsewhere
    with_picture: bool


@dataclass(frozen=True)
class Packed:
    """P visual tokens, T text tokens. labels[i] is the token at text position i, not the next one."""

    ids: np.ndarray  # [T]
    labels: np.ndarray  # [T]
    weights: np.ndarray  # [T] f32
    positions: np.ndarray  # [P + T]
    conversation: np.ndarray  # [T]: number of each token's conversation, from 0
    with_picture: np.ndarray  # [T] bool
    blocks: list[slice]  # whole conversations of the text, so that no block sees another


@dataclass(frozen=True)
class Batch:
    """B packed sequences, padded at the end to the longest text."""

    ids: torch.Tensor  # [B, T]
    labels: torch.Tensor  # [B, T]
    weights: torch.Tensor  # [B, T]
    positions: torch.Tensor  # [B, P + T]
    visible: torch.Tensor  # [B, P + T, P + T] bool: what each token attends to
    blocks: list[slice]  # blocks of the text if the batch has only one sequence, else empty


class ConversationEncoder:
    """Tokenizes conversations in the form of the model's chat template."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, conversation: Conversation) -> EncodedConversation:
        ids: list[int] = []
        labels: list[int] = []
        weights: list[float] = []
        for turn in conversation.turns:
            asked = self._ids(f"<|im_start|>user\n{turn.question}<|im_end|>\n<|im_start|>assistant\n")
            replied = self._ids(turn.answer + ("<|im_end|>" if turn.finished else ""))
            between = self._ids("\n") if turn is not conversation.turns[-1] else []
            ids += asked + replied + between
            labels += [IGNORED] * len(asked) + replied + [IGNORED] * len(between)
            # A compromise between equal weights of answers and equal weights of tokens, with which a caption would
            # count as much as twenty answers.
            weight = len(replied) ** -0.5
            weights += [0.0] * len(asked) + [weight] * len(replied) + [0.0] * len(between)
        return EncodedConversation(ids, labels, weights, conversation.with_picture)

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids


def pack(conversations: list[EncodedConversation], num_visual: int, most_text: int) -> tuple[Packed, list[int]]:
    """Takes conversations in order, skipping those that do not fit. => packed, indices of those taken"""
    taken: list[int] = []
    num_text = 0
    for index, conversation in enumerate(conversations):
        if num_text + len(conversation.ids) <= most_text:
            taken.append(index)
            num_text += len(conversation.ids)

    chosen = [conversations[index] for index in taken]
    lengths = [len(conversation.ids) for conversation in chosen]
    positions = [np.arange(num_visual)]
    blocks: list[slice] = []
    begin = 0
    for conversation, length in zip(chosen, lengths, strict=True):
        first = num_visual if conversation.with_picture else 0
        positions.append(np.arange(first, first + length))
        joins = blocks and begin + length - blocks[-1].start <= BLOCK
        blocks.append(slice(blocks.pop().start if joins else begin, begin + length))
        begin += length
    packed = Packed(
        ids=np.array([token for conversation in chosen for token in conversation.ids]),
        labels=np.array([label for conversation in chosen for label in conversation.labels]),
        weights=np.array([weight for conversation in chosen for weight in conversation.weights], np.float32),
        positions=np.concatenate(positions),
        conversation=np.arange(len(chosen)).repeat(lengths),
        with_picture=np.array([conversation.with_picture for conversation in chosen]).repeat(lengths),
        blocks=blocks,
    )
    return packed, taken


def batch_of(sequences: list[Packed], device: torch.device) -> Batch:
    num_visual = len(sequences[0].positions) - len(sequences[0].ids)
    num_text = max(len(packed.ids) for packed in sequences)
    if len(sequences) > 1:
        num_text += -num_text % MULTIPLE

    def padded(name: str, value: float, length: int = num_text) -> torch.Tensor:
        rows = [getattr(packed, name) for packed in sequences]
        rows = [np.pad(row, (0, length - len(row)), constant_values=value) for row in rows]
        return torch.from_numpy(np.stack(rows)).to(device)

    conversation = padded("conversation", -1)
    num_all = num_visual + num_text
    visible = torch.ones(len(sequences), num_all, num_all, dtype=torch.bool, device=device).tril()
    visible[:, num_visual:, :num_visual] = padded("with_picture", False)[:, :, None]
    visible[:, num_visual:, num_visual:] &= conversation[:, :, None] == conversation[:, None, :]
    return Batch(
        padded("ids", 0),
        padded("labels", IGNORED),
        padded("weights", 0.0),
        padded("positions", 0, num_all),
        visible,
        sequences[0].blocks if len(sequences) == 1 else [],
    )
