"""Writes data/embedded.safetensors: what transformers computes with the embedded model's directory, float32, eager.

python tests/golden/make_embedded_goldens.py $(./dev model)     # again whenever the trained part changes
"""

import argparse
import pathlib

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoProcessor, LlavaForConditionalGeneration

HERE = pathlib.Path(__file__).parent
PICTURE = HERE.parents[1] / "models/embedded/samples/animals.jpg"
QUESTION = "Describe the image in detail."
TOKENS = 32
TOP = 64  # log-probabilities kept at each position


@torch.no_grad()
def compute(model_dir: str) -> dict[str, torch.Tensor]:
    model = LlavaForConditionalGeneration.from_pretrained(
        model_dir, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    processor = AutoProcessor.from_pretrained(model_dir)
    content = [{"type": "image", "image": Image.open(PICTURE)}, {"type": "text", "text": QUESTION}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    ids = inputs["input_ids"]
    prompt = ids.shape[1]
    for _ in range(TOKENS):
        logits = model(
            input_ids=ids, pixel_values=inputs["pixel_values"], attention_mask=torch.ones_like(ids), use_cache=False
        ).logits[0]
        ids = torch.cat([ids, logits[-1].argmax().view(1, 1)], dim=1)
    # The last token's logits are not needed: `logits` covers all positions before it.
    text = int((ids[0] == model.config.image_token_id).nonzero().max()) + 1  # first position after the picture
    top = logits[text:].log_softmax(-1).topk(TOP)
    return {
        "input_ids": ids[0, :prompt].clone(),
        "tokens": ids[0, prompt:].clone(),
        "top_ids": top.indices.contiguous(),  # [positions text.., TOP]
        "top_logprobs": top.values.contiguous(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the embedded model's directory")
    args = parser.parse_args()
    tensors = compute(args.model)
    save_file(tensors, HERE / "data" / "embedded.safetensors")
    print({name: list(tensor.shape) for name, tensor in tensors.items()})


if __name__ == "__main__":
    main()
