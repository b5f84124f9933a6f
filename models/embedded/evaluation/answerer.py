"""Who answers questions about pictures: anything with this method, such as a client of the server."""

from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from transformers import AutoProcessor, DynamicCache, LlavaForConditionalGeneration


class Answerer(Protocol):
    def answer(self, picture: Image.Image, questions: list[str]) -> list[str]:
        """A greedy reply to each question, each asked alone about the picture."""
        ...


class TransformersAnswerer:
    """The model directory run by transformers in float32, the picture computed once for all its questions."""

    def __init__(self, directory: Path, max_tokens: int = 128, attention: str = "sdpa"):
        self.processor = AutoProcessor.from_pretrained(directory)
        self.model = LlavaForConditionalGeneration.from_pretrained(
            directory, dtype=torch.float32, attn_implementation={"text_config": attention}
        ).eval()
        self._max_tokens = max_tokens

    @torch.inference_mode()
    def answer(self, picture: Image.Image, questions: list[str]) -> list[str]:
        visual = self.visual_embeddings(picture)
        cache = DynamicCache(config=self.model.config.text_config)
        self.model.language_model(inputs_embeds=visual[None], past_key_values=cache)
        replies = []
        for question in questions:
            replies.append(self._reply(self.prompt(question), cache))
            cache.crop(len(visual))
        return replies

    @torch.inference_mode()
    def visual_embeddings(self, picture: Image.Image) -> torch.Tensor:
        """=> [P, C]"""
        pixels = self.processor.image_processor(picture, return_tensors="pt").pixel_values
        return self.model.model.get_image_features(pixels).pooler_output[0]

    def prompt(self, question: str) -> list[int]:
        """The text tokens that follow the picture."""
        message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
        rendered = self.processor.apply_chat_template([message], add_generation_prompt=True)
        return self.processor.tokenizer(rendered.removeprefix("<image>"), add_special_tokens=False).input_ids

    def _reply(self, prompt: list[int], cache: DynamicCache) -> str:
        end = self.model.config.text_config.eos_token_id
        reply: list[int] = []
        tokens = torch.tensor([prompt])
        while len(reply) < self._max_tokens:
            hidden = self.model.language_model(input_ids=tokens, past_key_values=cache).last_hidden_state
            token = self.model.lm_head(hidden[0, -1]).argmax().item()
            if token == end:
                break
            reply.append(token)
            tokens = torch.tensor([[token]])
        return self.processor.tokenizer.decode(reply)
