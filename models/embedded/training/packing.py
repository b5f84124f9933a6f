"""One picture and many conversations about it, packed into one sequence.

    [ visual tokens | conversation 1 | conversation 2 | ... ]

Every conversation sees the picture and itself, never its neighbours (their answers would give its own away),
and its positions follow the picture's as if it stood there alone. Conversations without a picture do not see
it and count their positions from 0. So the decoder runs over the costly visual tokens once for a dozen
questions.
"""

from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

BLOCK = 96  # text tokens, about
IGNORED = -100  # the label of tokens that are not learnt


@dataclass(frozen=True)
class Turn:
    question: str
    answer: str
    finished: bool = True  # False: the answer was cut off, so its end is not learnt


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

    ids: torch.Tensor  # [T]
    labels: torch.Tensor  # [T]
    weights: torch.Tensor  # [T]
    positions: torch.Tensor  # [P + T]
    visible: torch.Tensor  # [T, P + T] bool: what each text token attends to
    blocks: list[slice]  # of the text: whole conversations, so that no block sees another


class ConversationEncoder:
    """Tokenizes conversations as the model's chat template writes them."""

    def __init__(self, tokenizer: Tokenizer):
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
            # Between all answers alike and all tokens alike, where a caption would count as much as twenty answers.
            weight = len(replied) ** -0.5
            weights += [0.0] * len(asked) + [weight] * len(replied) + [0.0] * len(between)
        return EncodedConversation(ids, labels, weights, conversation.with_picture)

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids


def pack(
    conversations: list[EncodedConversation], num_visual: int, most_text: int
) -> tuple[Packed, list[int]]:
    """Takes conversations in order, except those that do not fit. => packed, indices of those taken"""
    taken: list[int] = []
    num_text = 0
    for index, conversation in enumerate(conversations):
        if num_text + len(conversation.ids) <= most_text:
            taken.append(index)
            num_text += len(conversation.ids)

    chosen = [conversations[index] for index in taken]
    positions = [torch.arange(num_visual)]
    visible = torch.zeros(num_text, num_visual + num_text, dtype=torch.bool)
    blocks: list[slice] = []
    begin = 0
    for conversation in chosen:
        length = len(conversation.ids)
        first = num_visual if conversation.with_picture else 0
        positions.append(torch.arange(first, first + length))
        rows = visible[begin : begin + length]
        rows[:, :num_visual] = conversation.with_picture
        rows[:, num_visual + begin : num_visual + begin + length] = torch.ones(length, length).tril().bool()
        joins = blocks and begin + length - blocks[-1].start <= BLOCK
        blocks.append(slice(blocks.pop().start if joins else begin, begin + length))
        begin += length
    packed = Packed(
        ids=torch.tensor([token for conversation in chosen for token in conversation.ids]),
        labels=torch.tensor([label for conversation in chosen for label in conversation.labels]),
        weights=torch.tensor([weight for conversation in chosen for weight in conversation.weights]),
        positions=torch.cat(positions),
        visible=visible,
        blocks=blocks,
    )
    return packed, taken
