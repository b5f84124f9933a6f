"""transformers and the server load what the converter wrote, and compute what the original code does.

Needs VARSERVE_BUILD, and VARSERVE_CONVERTED: what tests/convert/directories.py wrote; `./dev test` sets them.
"""

import json
import os
import pathlib
import subprocess
import sys
import unittest

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoProcessor, AutoTokenizer, InternVLForConditionalGeneration

from original_model import internlm2_logits, load, visual_tokens

sys.path += [str(pathlib.Path(__file__).resolve().parents[2] / folder) for folder in ("models", "testing")]

from ask_transformers import PICTURES, TOKENS, answer
from server_process import ServerProcess

BUILD = pathlib.Path(os.environ["VARSERVE_BUILD"])
CONVERTED = pathlib.Path(os.environ["VARSERVE_CONVERTED"])
PICTURE, QUESTION = "2000x1500.png", "What do you see? 你好"
USER = {
    "role": "user",
    "content": [{"type": "image", "path": str(PICTURES / PICTURE)}, {"type": "text", "text": QUESTION}],
}
SYSTEM = {"internlm2": '你是 "InternVL", a model\'s test.', "qwen2": "Another one."}
END = {"internlm2": "<|im_end|>", "qwen2": "<|im_end|>\n", "llama": "<|im_end|>"}


def prompt(name: str) -> str:
    """Conversation.get_prompt() of SeparatorStyle.MPT, with the question that chat() makes of a picture and a text."""
    system = SYSTEM.get(name, SYSTEM["internlm2"])
    turns = f"<|im_start|>system\n{system}{END[name]}<|im_start|>user\n<IMG_CONTEXT>\n{QUESTION}{END[name]}"
    return f"{turns}<|im_start|>assistant\n"


def ask(address: str) -> tuple[list[int], list[float]]:
    """The tokens of the server's answer, and their log-probabilities."""
    command = [str(BUILD / "bin" / "varserve"), "ask", "--address", address, "--json", "--logprobs", "1"]
    command += ["--max-tokens", str(TOKENS), str(PICTURES / PICTURE), QUESTION]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    logprobs = [entry for line in lines for entry in json.loads(line).get("delta", {}).get("logprobs", [])]
    return [entry["token_id"] for entry in logprobs], [entry["logprob"] for entry in logprobs]


def ask_server(name: str) -> tuple[list[int], list[float]]:
    """The same, of a server with the converted directory."""
    server = ServerProcess(BUILD, CONVERTED / f"{name}-hf", "--model_name=converted", "--dtype=float32")
    try:
        server.wait_until_ready()
        return ask(server.address)
    finally:
        server.stop()


class Answers(unittest.TestCase):
    @torch.no_grad()
    def check_model(self, name: str) -> None:
        directory = CONVERTED / f"{name}-hf"
        model, info = InternVLForConditionalGeneration.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
        self.assertFalse(any(info.values()), info)
        processor = AutoProcessor.from_pretrained(directory)
        self.assertEqual(processor.apply_chat_template([USER], add_generation_prompt=True), prompt(name))
        inputs = processor.apply_chat_template(
            [USER], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        original = json.loads((CONVERTED / name / "config.json").read_text())
        tensors = load(CONVERTED / name)
        features = model.get_image_features(inputs["pixel_values"]).pooler_output
        expected = visual_tokens(tensors, original, inputs["pixel_values"])
        torch.testing.assert_close(features.flatten(0, -2), expected.flatten(0, 1), rtol=1e-4, atol=1e-4)
        logits = model(**inputs).logits[0]
        self.assertTrue(logits.isfinite().all())
        if name == "internlm2":
            ids = inputs["input_ids"][0]
            embeddings = tensors["language_model.model.tok_embeddings.weight"][ids]
            embeddings[ids == model.config.image_token_id] = expected.flatten(0, 1)
            torch.testing.assert_close(logits, internlm2_logits(tensors, original, embeddings), rtol=1e-4, atol=1e-4)

    def check_tokenizer(self, name: str) -> None:
        """transformers adds nothing to tokenizer.json but the token of videos."""
        directory = CONVERTED / f"{name}-hf"
        tokenizer = AutoTokenizer.from_pretrained(directory)
        bare = Tokenizer.from_file(str(directory / "tokenizer.json"))
        text = f"{prompt(name)} <img></img> é🙂  x\n"
        self.assertEqual(tokenizer(text)["input_ids"], bare.encode(text).ids)
        self.assertEqual(len(tokenizer), AutoConfig.from_pretrained(directory).text_config.vocab_size + 1)

    def check_server(self, name: str) -> None:
        directory = CONVERTED / f"{name}-hf"
        expected = answer(directory, [["user", [PICTURE, QUESTION]]])
        self.assertGreater(expected["gap"], 1e-3)
        tokens, logprobs = ask_server(name)
        self.assertEqual(tokens, expected["tokens"])
        self.assertLess(max(abs(a - b) for a, b in zip(logprobs, expected["logprobs"], strict=True)), 1e-4)

    def test_internlm2(self) -> None:
        self.check_model("internlm2")
        self.check_tokenizer("internlm2")
        self.check_server("internlm2")

    def test_qwen2(self) -> None:
        self.check_model("qwen2")
        self.check_tokenizer("qwen2")
        self.check_server("qwen2")

    def test_llama_with_the_largest_tower(self) -> None:
        self.check_model("llama")
        self.check_tokenizer("llama")
        self.check_server("llama")


if __name__ == "__main__":
    unittest.main()
