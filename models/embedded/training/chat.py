"""Plain conversations that preserve the decoder's ability to chat: its own earlier answers, as training targets."""

from itertools import product

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from training.packing import Turn

MAX_TOKENS = 48

_TEMPLATES = {
    "What is the capital of {}?": (
        "France Italy Spain Germany Japan China India Egypt Kenya Canada Mexico Brazil Peru Chile "
        "Norway Sweden Finland Poland Greece Turkey Russia Australia Portugal Ireland Austria Cuba"
    ),
    "What is {}?": (
        "gravity water electricity democracy photosynthesis oxygen music history mathematics "
        "philosophy winter happiness friendship software evolution energy money chess poetry science"
    ),
    "What is a {}?": (
        "dog cat car tree computer planet river mountain bridge violin volcano robot doctor verb "
        "triangle castle rainbow desert magnet telescope"
    ),
    "Write a sentence about {}.": (
        "dogs cats rain summer school football bread trains birds books the+sea the+moon a+garden "
        "a+city a+teacher friendship coffee apples snow travel"
    ),
    "Tell me a fact about {}.": (
        "whales bees elephants penguins spiders horses the+sun Mars Rome Africa ice gold salt honey owls turtles"
    ),
    "What is the opposite of {}?": "hot big fast happy light old early strong full near open rich",
    "Name three {}.": "fruits animals colors countries planets sports rivers trees tools vegetables",
    "How do I {}?": (
        "boil+an+egg learn+a+language make+tea sleep+better write+a+letter save+money plant+a+tree "
        "clean+a+window ride+a+bicycle stay+healthy"
    ),
}
_QUESTIONS = """\
Hello!
Hi, how are you?
Good morning.
Thank you.
Who are you?
What can you do?
Can you help me?
Tell me a joke.
Tell me a short story.
Write a short poem.
Goodbye!
Why is the sky blue?
Why do birds fly?
Why do we sleep?
How many days are in a week?
How many months are in a year?
How many legs does a spider have?
How far away is the moon?
Who wrote Romeo and Juliet?
Who was Albert Einstein?
Who painted the Mona Lisa?
What day comes after Monday?
What do cows eat?
What color is the sky?
What color is grass?
What is your name?
What should I cook for dinner?
Where do penguins live?
When did the second world war end?
Explain what a computer program is.
Give me an idea for a birthday present.
Translate "good morning" into French.
Is a whale a fish?
Are tomatoes fruit?
Do fish sleep?"""


def prompts() -> list[str]:
    filled = [
        template.format(word.replace("+", " ")) for template, words in _TEMPLATES.items() for word in words.split()
    ]
    sums = [f"What is {a} plus {b}?" for a, b in product((2, 3, 5, 7), (1, 4, 6, 9))]
    return filled + sums + _QUESTIONS.splitlines()


@torch.inference_mode()
def distill(model: LlamaForCausalLM, tokenizer: Tokenizer, questions: list[str]) -> list[Turn]:
    """The model's own greedy answers, decoded in one batch."""
    end = model.config.eos_token_id
    asked = [tokenizer.encode(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n").ids for text in questions]
    longest = max(map(len, asked))
    padding = [longest - len(ids) for ids in asked]  # on the left, so that all answers begin at the same position
    generated = model.generate(
        torch.tensor([[end] * pad + ids for pad, ids in zip(padding, asked, strict=True)]),
        attention_mask=torch.tensor([[0] * pad + [1] * (longest - pad) for pad in padding]),
        max_new_tokens=MAX_TOKENS,
        do_sample=False,
        pad_token_id=end,
    )
    turns = []
    for question, reply in zip(questions, generated[:, longest:].tolist(), strict=True):
        finished = end in reply
        turns.append(Turn(question, tokenizer.decode(reply[: reply.index(end)] if finished else reply), finished))
    return turns
