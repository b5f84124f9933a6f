"""transformers as a worker (worker.py), in bfloat16. usage: ask_transformers.py MODEL THREADS"""

import pathlib
import sys
import time
from collections.abc import Callable

import torch
import transformers
from PIL import Image

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from worker import QUESTION, Answer, serve

from token_clock import TokenClock

MODEL, THREADS = sys.argv[1], int(sys.argv[2])


def load() -> Callable[[list[Image.Image], int], Answer]:
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(THREADS)
    model = transformers.LlavaForConditionalGeneration.from_pretrained(MODEL, dtype=torch.bfloat16).eval()
    processor = transformers.AutoProcessor.from_pretrained(MODEL)
    processor.tokenizer.pad_token = processor.tokenizer.pad_token or processor.tokenizer.eos_token
    message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    text = processor.apply_chat_template(message, add_generation_prompt=True)

    def ask(pictures: list[Image.Image], tokens: int) -> Answer:
        start, clock = time.monotonic(), TokenClock()
        images = [[picture] for picture in pictures]
        inputs = processor(images=images, text=[text] * len(pictures), return_tensors="pt").to(model.dtype)
        with torch.no_grad():
            model.generate(
                **inputs,
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
                streamer=clock if len(pictures) == 1 else None,
            )
        # The streamer knows one answer only; of a batch, just the end is known.
        times = [at - start for at in clock.times[1:]] or [time.monotonic() - start] * tokens
        return inputs["input_ids"].shape[1], [times] * len(pictures)

    return ask


if __name__ == "__main__":
    serve(load)
