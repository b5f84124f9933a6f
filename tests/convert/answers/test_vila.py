"""VILA's converted directories, with transformers' parts and in the server, against VILA's code.

Needs VARSERVE_BUILD and VARSERVE_CONVERTED, as test_answers.py.
"""

import contextlib
import json
import pathlib
import sys
import tempfile
import unittest
import zipfile

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from original_model import Tensors, inner, load
from original_vila import features, logits, projected
from test_answers import CONVERTED, PICTURES, ask_server

sys.path += [str(pathlib.Path(__file__).resolve().parents[3] / folder) for folder in ("tests/golden", "tools/convert")]

import pytorch_files
import vila_reference  # noqa: F401 (registers VILA)
from ask_transformers import answer

FILES = ["2000x1500.png", "grey.png", "40x1000.png"]
CONVERSATION = [
    ["user", [*FILES[:2], "What do you see? 你好"]],
    ["assistant", ["Two  of them."]],
    ["user", [FILES[2], "And here?\n é"]],
]


def message(role: str, parts: list[str]) -> dict:
    pictures = [{"type": "image", "path": str(PICTURES / part)} for part in parts if part.endswith(".png")]
    return {"role": role, "content": [*pictures, {"type": "text", "text": parts[-1]}]}


def processed(picture: Image.Image, side: int, ratio: str) -> np.ndarray:
    """process_images() and the tower's processor, with Pillow: 8 bit [side, side, 3]."""
    picture = picture.convert("RGB")
    width, height = picture.size
    if ratio == "pad":
        square = Image.new("RGB", (max(width, height),) * 2, (122, 116, 104))
        square.paste(picture, ((square.width - width) // 2, (square.height - height) // 2))
        picture = square
    elif ratio == "square":  # CLIP's shortest edge and crop
        scale = side / min(width, height)
        size = (side if width <= height else int(width * scale), side if height <= width else int(height * scale))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        picture = picture.crop((left, top, left + side, top + side))
    return np.array(picture.resize((side, side), Image.Resampling.BICUBIC))


class Vila(unittest.TestCase):
    def originals(self, name: str) -> tuple[Tensors, Tensors, Tensors, dict, dict, dict]:
        """Decoder, tower and projector, and their configs with that of the whole."""
        folder = CONVERTED / name
        top = json.loads((folder / "config.json").read_text())
        if "llm_cfg" not in top:
            tensors, clip = load(folder), CONVERTED / f"{name}-clip"
            tower = json.loads((clip / "config.json").read_text())["vision_config"]
            projector = inner(tensors, "model.mm_projector.")
            return tensors, inner(load(clip), "vision_model."), projector, top, tower, top
        tower, llm = (json.loads((folder / part / "config.json").read_text()) for part in ("vision_tower", "llm"))
        kind = json.loads((folder / "mm_projector" / "config.json").read_text())
        projector = inner(load(folder / "mm_projector"), "layers.")
        return (
            load(folder / "llm"),
            inner(load(folder / "vision_tower"), "vision_model."),
            projector,
            llm,
            tower,
            top | kind,
        )

    @torch.no_grad()
    def check(self, name: str) -> None:
        directory = CONVERTED / f"{name}-hf"
        model, info = AutoModelForImageTextToText.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
        self.assertFalse(any(info.values()), info)
        processor = AutoProcessor.from_pretrained(directory)
        inputs = processor.apply_chat_template(
            [message(*turn) for turn in CONVERSATION],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        llm, tower, projector, llm_config, tower_config, top = self.originals(name)
        self.check_pixels(inputs["pixel_values"], processor, tower_config["image_size"], top["image_aspect_ratio"])

        selected = features(tower, tower_config, inputs["pixel_values"])
        if top["mm_vision_select_feature"] == "patch":
            selected = selected[:, 1:]
        visual = projected(selected, projector, top["mm_projector_type"])
        found = model.get_image_features(inputs["pixel_values"]).pooler_output
        torch.testing.assert_close(torch.stack([*found]), visual, rtol=1e-4, atol=1e-4)

        image, ids = model.config.image_token_id, inputs["input_ids"][0]
        prompt = json.loads((CONVERTED / f"{name}.json").read_text())["ids"]
        expected = [token for i in prompt for token in [i] * (visual.shape[1] if i == image else 1)]
        self.assertEqual(ids.tolist(), expected)
        embeddings = llm["model.embed_tokens.weight"][ids]
        embeddings[ids == image] = visual.flatten(0, 1)
        reference = logits(llm, llm_config, embeddings)
        self.assertTrue(reference.isfinite().all())
        torch.testing.assert_close(model(**inputs).logits[0], reference, rtol=1e-4, atol=1e-4)

    def check_pixels(self, values: torch.Tensor, processor: AutoProcessor, side: int, ratio: str) -> None:
        """Within two 8 bit levels of Pillow's, as torchvision resizes."""
        mean, std = (np.array(getattr(processor.image_processor, name)) for name in ("image_mean", "image_std"))
        for value, file in zip(values.numpy(), FILES, strict=True):
            pixels = np.round((value.transpose(1, 2, 0) * std + mean) * 255)
            self.assertLessEqual(np.abs(pixels - processed(Image.open(PICTURES / file), side, ratio)).max(), 2, file)

    def check_server(self, name: str) -> None:
        conversation = [["user", [FILES[0], "What do you see? 你好"]]]
        expected = answer(CONVERTED / f"{name}-hf", conversation)
        self.assertGreater(expected["gap"], 1e-3)
        tokens, logprobs = ask_server(name)
        ends = json.loads((CONVERTED / f"{name}-hf" / "generation_config.json").read_text())["eos_token_id"]
        self.assertEqual(tokens, [token for token in expected["tokens"] if token not in ends])
        self.assertLess(max(abs(a - b) for a, b in zip(logprobs, expected["logprobs"], strict=False)), 1e-4)

    def test_vila1_0(self) -> None:
        self.check("vila1_0")
        self.check_server("vila1_0")

    def test_vila1_0_with_a_linear_projector(self) -> None:
        self.check("vila1_0-linear")
        self.check_server("vila1_0-linear")

    def test_vila1_5(self) -> None:
        self.check("vila1_5")
        self.check_server("vila1_5")

    def test_vila1_5_with_llama_3(self) -> None:
        self.check("vila1_5-llama3")
        self.check_server("vila1_5-llama3")


class PytorchFiles(unittest.TestCase):
    """What torch.save writes is read without torch."""

    def check(self, tensors: object, *words: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "pytorch_model.bin"
            torch.save(tensors, file)
            if words:
                with self.assertRaises(pytorch_files.Refused) as refused:
                    pytorch_files.read_tensors(file, file.name)
                for word in ("pytorch_model.bin", *words):
                    self.assertIn(word, str(refused.exception))
                return
            found = pytorch_files.read_tensors(file, file.name)
            self.assertEqual([tensor.name for tensor in found], [*tensors])
            for (_, dtype, shape, data), tensor in zip(found, tensors.values(), strict=True):
                bits = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}[dtype]
                read = torch.frombuffer(bytearray(data.tobytes()), dtype=bits).reshape(shape)
                self.assertEqual(read.dtype, tensor.dtype)
                self.assertTrue(torch.equal(read, tensor))

    def test_tensors(self) -> None:
        tensors = load_file(CONVERTED / "vila1_0-clip" / "model.safetensors")
        self.check(tensors)
        whole = torch.arange(24.0).reshape(4, 6)
        views = {"rows": whole[1:3], "whole": whole, "number": torch.tensor(2.5), "ids": torch.arange(5)[None]}
        self.check({**views, "half": whole.half(), "bfloat16": whole.bfloat16()})

    def test_damaged_files(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "pytorch_model.bin"
            torch.save({"a": torch.arange(24.0)}, file)
            whole = bytearray(file.read_bytes())
            for i in range(0, len(whole), 5):
                file.write_bytes(whole[:i] + bytes([whole[i] ^ 0xFF]) + whole[i + 1 :])
                with contextlib.suppress(pytorch_files.Refused):
                    pytorch_files.read_tensors(file, file.name)
                file.write_bytes(whole[:i])
                with self.assertRaises(pytorch_files.Refused):
                    pytorch_files.read_tensors(file, file.name)

    def test_refusals(self) -> None:
        whole = torch.arange(24.0).reshape(4, 6)
        self.check({"transposed": whole.T}, "not contiguous")
        self.check({"code": pathlib.Path("x")}, "pathlib")
        self.check({"number": 5}, "number is not a tensor")
        self.check([whole], "is not a table of tensors")
        self.check({"empty": torch.empty(0, 4)}, "'empty' of shape [0, 4]")

    def test_a_memo_that_would_take_all_memory(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "pytorch_model.bin"
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("archive/data.pkl", b"\x80\x02}r\0\0\0\x10.")
            with self.assertRaisesRegex(pytorch_files.Refused, "pytorch_model.bin: is damaged: the memo has the index"):
                pytorch_files.read_tensors(file, file.name)


if __name__ == "__main__":
    unittest.main()
