"""What transformers does with a model directory: the tokens it generates, or why it refuses."""

import pathlib

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.models.smolvlm import processing_smolvlm

# SmolVLM's processor does not start without the package that spells the number of a video's frames.
processing_smolvlm.num2words = str

TOKENS = 8
PICTURES = pathlib.Path(__file__).resolve().parents[1] / "golden" / "images" / "files"
# Parts with a picture's file are images, other parts are texts.
CONVERSATION = [["user", ["interlaced.png", "What do you see?"]]]


def content(part: str) -> dict:
    if part.endswith(".png"):
        return {"type": "image", "image": Image.open(PICTURES / part)}
    return {"type": "text", "text": part}


@torch.no_grad()
def answer(directory: pathlib.Path, conversation: list) -> dict:
    """{"tokens", "logprobs", "gap"}: greedily, in float32. Raises what transformers raises."""
    processor = AutoProcessor.from_pretrained(directory)
    model = AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager")
    inputs = processor.apply_chat_template(
        [{"role": role, "content": [content(part) for part in parts]} for role, parts in conversation],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    output = model.eval().generate(
        **inputs,
        do_sample=False,
        max_new_tokens=TOKENS,
        return_dict_in_generate=True,
        output_logits=True,
    )
    logprobs = torch.stack(output.logits, dim=1)[0].log_softmax(-1)  # [tokens, V]
    tokens = output.sequences[0, inputs["input_ids"].shape[1] :]
    best, second = logprobs.topk(2).values.T
    return {
        "tokens": tokens.tolist(),
        "logprobs": [round(p, 5) for p in logprobs.gather(1, tokens[:, None])[:, 0].tolist()],
        "gap": float((best - second).min()),
    }
