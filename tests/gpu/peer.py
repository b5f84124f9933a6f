"""transformers on the same 7B directory:
prefill and decoding of one sequence, plain, then with a static cache, compiled."""

import statistics
import time

import torch
import transformers

from step import Settings, row, settings

PROMPT = 640


class Peer:
    def __init__(self, s: Settings) -> None:
        self._device = s.device
        loaded = transformers.LlavaForConditionalGeneration.from_pretrained(
            s.seven_billion, dtype=torch.bfloat16, attn_implementation="sdpa"
        )
        self._model = loaded.eval().to(s.device)
        config = self._model.config
        visual = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
        random = torch.Generator().manual_seed(1)
        ids = torch.randint(100, 10000, (1, PROMPT), generator=random)
        ids[:, 5 : 5 + visual] = config.image_token_id
        pixels = torch.randn(1, 3, *2 * [config.vision_config.image_size], generator=random)
        self._inputs = {"input_ids": ids.to(s.device), "pixel_values": pixels.to(s.device, torch.bfloat16)}
        self._inputs["attention_mask"] = torch.ones_like(self._inputs["input_ids"])

    def static_cache(self, tokens: int) -> transformers.StaticCache:
        return transformers.StaticCache(config=self._model.config.get_text_config(), max_cache_len=PROMPT + tokens)

    def seconds(self, tokens: int, cache: transformers.StaticCache | None) -> float:
        if cache is not None:
            cache.reset()
        start = time.perf_counter()
        self._model.generate(
            **self._inputs,
            past_key_values=cache,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            pad_token_id=2,
        )
        if self._device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def speed(self, name: str, tokens: int, rounds: int, cache: transformers.StaticCache | None) -> None:
        self.seconds(4, cache)  # to warm up, and to compile
        first = statistics.median(self.seconds(1, cache) for _ in range(rounds))
        whole = statistics.median(self.seconds(tokens, cache) for _ in range(rounds))
        row(f"{name}: first token of {PROMPT}", 1e3 * first, "ms")
        row(f"{name}: decode, one sequence", (tokens - 1) / (whole - first), "tok/s")


def main() -> None:
    s = settings()
    transformers.logging.set_verbosity_error()
    start = time.perf_counter()
    peer = Peer(s)
    row("transformers", transformers.__version__)
    row("load", time.perf_counter() - start, "s")
    tokens, rounds = (8, 1) if s.tiny else (64, 3)
    with torch.no_grad():
        peer.speed("plain", tokens, rounds, None)
        peer.speed("static cache, compiled", tokens, rounds, peer.static_cache(tokens))


if __name__ == "__main__":
    main()
