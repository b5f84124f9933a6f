"""OpenVINO GenAI as a worker (worker.py). usage: ask_openvino.py MODEL THREADS"""

import sys
import time
from collections.abc import Callable

import numpy as np
from PIL import Image
from worker import QUESTION, Answer, serve

MODEL, THREADS = sys.argv[1], int(sys.argv[2])


def load() -> Callable[[list[Image.Image], int], Answer]:
    import openvino
    import openvino_genai

    pipeline = openvino_genai.VLMPipeline(MODEL, "CPU", INFERENCE_NUM_THREADS=THREADS)

    def ask(pictures: list[Image.Image], tokens: int) -> Answer:
        if len(pictures) > 1:
            raise NotImplementedError("VLMPipeline answers one question at a time")
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = tokens
        config.ignore_eos = True
        start, times = time.monotonic(), []

        def took(text: str) -> openvino_genai.StreamingStatus:
            return openvino_genai.StreamingStatus.RUNNING

        tensor = openvino.Tensor(np.asarray(pictures[0])[None])  # [1, H, W, 3]
        result = pipeline.generate(QUESTION, images=[tensor], generation_config=config, streamer=took)
        metrics = result.perf_metrics
        # What the streamer gets are words, not tokens; the pipeline's own clock knows these.
        first = metrics.get_ttft().mean / 1e3
        each = metrics.get_tpot().mean / 1e3
        count = metrics.get_num_generated_tokens()
        times = [first + i * each for i in range(count)]
        if times[-1] > 1.05 * (time.monotonic() - start):
            raise RuntimeError("its own times are longer than the time that passed")
        return metrics.get_num_input_tokens(), [times]

    return ask


if __name__ == "__main__":
    serve(load)
