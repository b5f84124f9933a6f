"""The interface of anything that answers questions about pictures, such as a client of the server."""

from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from transformers import AutoProcessor, DynamicCache, LlavaForConditionalGeneration


class Answerer(Protocol):
    def answer(self, picture: Image.Image, questions: list[str]) -> list[str]:
        """Returns a greedy reply to each question. Each question is asked separately about the picture."""
        ...


class TransformersAnswerer:
    """The model directory, run by transformers in float32. Computes a picture once for all its questions."""

    def __init__(self, directory: Path, max_tokens: int = 128, attention: str = "sdpa") -> None:
        self.processor = AutoProcessor.from_pretrained(directory)
        self.model = LlavaForConditionalGeneration.from_pretrained(
            directory, dtype=torch.float32, attn_implementation={"text_config": attention}
        ).eval()
        self._max_tokens = max_tokens

    def answer(self, picture: Image.Image, questions: list[str]) -> list[str]:
        num_visual = self.begin(picture)
        replies = []
        for question in questions:
            replies.append(self.reply(question))
            self.forget(num_visual)
        return replies

    @torch.inference_mode()
    def begin(self, picture: Image.Image) -> int:
        """Starts a conversation with a picture. => its number of visual tokens"""
        pixels = self.processor.image_processor(picture, return_tensors="pt").pixel_values
        visual = self.model.model.get_image_features(pixels).pooler_output[0]  # [P, C]
        self._cache = DynamicCache(config=self.model.config.text_config)
        self._on_picture(len(visual))
        self.model.model.language_model(inputs_embeds=visual[None], past_key_values=self._cache)
        return len(visual)

    @torch.inference_mode()
    def reply(self, question: str) -> str:
        end = self.model.config.text_config.eos_token_id
        tokens = torch.tensor([self._prompt(question)])
        said: list[int] = []
        while len(said) < self._max_tokens:
            output = self.model.model.language_model(input_ids=tokens, past_key_values=self._cache)
            token = self.model.lm_head(output.last_hidden_state[0, -1]).argmax().item()
            if token == end:
                break
            said.append(token)
            tokens = torch.tensor([[token]])
        return self.processor.tokenizer.decode(said)

    def forget(self, length: int) -> None:
        """Removes everything after the first `length` tokens."""
        self._cache.crop(length - self._cache.get_seq_length())

    def _on_picture(self, num_visual: int) -> None:
        """Hook for subclasses: a picture with this many visual tokens comes next."""

    def _prompt(self, question: str) -> list[int]:
        """The text tokens after the picture."""
        message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
        rendered = self.processor.apply_chat_template([message], add_generation_prompt=True)
        return self.processor.tokenizer(rendered.removeprefix("<image>"), add_special_tokens=False).input_ids
