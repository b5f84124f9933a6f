"""vLLM as a worker (worker.py). usage: ask_vllm.py MODEL THREADS"""

import itertools
import os
import sys
import time
from collections.abc import Callable

from PIL import Image
from worker import QUESTION, Answer, serve

MODEL, THREADS = sys.argv[1], int(sys.argv[2])
os.environ |= {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GB
    "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(os.sched_getaffinity(0))[:THREADS])),
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


def load() -> Callable[[list[Image.Image], int], Answer]:
    import vllm

    llm = vllm.LLM(
        model=MODEL,
        dtype="bfloat16",
        max_model_len=1024,
        max_num_seqs=8,
        enable_prefix_caching=False,
        mm_processor_cache_gb=0,
        limit_mm_per_prompt={"image": 1},
        disable_log_stats=True,
    )
    message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    text = llm.get_tokenizer().apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    numbers = itertools.count()

    def ask(pictures: list[Image.Image], tokens: int) -> Answer:
        parameters = vllm.SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True)
        start, times, prompt_tokens = time.monotonic(), {}, 0
        for image in pictures:
            request = str(next(numbers))
            times[request] = []
            prompt = {"prompt": text, "multi_modal_data": {"image": image}}
            llm.llm_engine.add_request(request, prompt, parameters)
        while llm.llm_engine.has_unfinished_requests():
            for output in llm.llm_engine.step():
                prompt_tokens = len(output.prompt_token_ids)
                own = times[output.request_id.split("-")[0]]
                own += [time.monotonic() - start] * (len(output.outputs[0].token_ids) - len(own))
        return prompt_tokens, list(times.values())

    return ask


if __name__ == "__main__":
    serve(load)
