"""VILA's directories: every tensor and every token, and what is refused."""

import json
import pathlib
import shutil
import tempfile
import unittest

import numpy as np
from tokenizers import Tokenizer

from directories import Tensors, change_field, check_refusal, convert, load, load_all, save
from tricky_texts import texts
from vila_directories import FLAT, FOLDERS, NAMES, Llama2Tokens, prompt_ids, tower_of, write_vila
from vila_originals import LLAMA_3_TOKENS

UNREAD = ("model.vision_tower.", "vision_model.head.", "logit_scale", "text_model.", "visual_projection")
PROJECTORS = {
    "linear": {"": "linear_1"},
    "mlp2x_gelu": {"0.": "linear_1", "2.": "linear_2"},
    "mlp_downsample": {"1.": "layer_norm", "2.": "linear_1", "4.": "linear_2"},
}


class Converted(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        for name in NAMES:
            write_vila(cls.folder / name, name)
            status, errors = convert(cls.folder / name, cls.folder / f"{name}-hf", *tower_of(cls.folder / name, name))
            if status:
                raise AssertionError(errors)

    def originals(self, name: str) -> Tensors:
        """Those that are read, by the names of LLaVA's modules."""
        folder = self.folder / name
        if name in FLAT:
            tensors = load_all(folder) | load_all(self.folder / f"{name}-clip")
            kind, root = FLAT[name], "model.mm_projector."
        else:
            tensors = {
                k: t for part in ("llm", "vision_tower", "mm_projector") for k, t in load_all(folder / part).items()
            }
            kind, root = FOLDERS[name], "layers."
        named = {}
        for key, tensor in tensors.items():
            if key.startswith(UNREAD) or key.endswith("inv_freq"):
                continue
            if key.startswith(root):
                old, _, part = key.removeprefix(root).rpartition(".")
                layer = PROJECTORS[kind][f"{old}." if old else ""]
                named[f"model.multi_modal_projector.{layer}.{part}"] = tensor
            elif key.startswith("vision_model."):
                named[key.replace("vision_model.", "model.vision_tower.", 1)] = tensor
            else:
                named[key.replace("model.", "model.language_model.", 1)] = tensor
        return named

    def test_every_tensor_is_there_once(self) -> None:
        for name in NAMES:
            with self.subTest(name=name):
                kept, new = self.originals(name), load_all(self.folder / f"{name}-hf")
                self.assertEqual(kept.keys(), new.keys())
                for key, tensor in kept.items():
                    np.testing.assert_array_equal(tensor, new[key], key)
                    self.assertEqual(tensor.dtype, new[key].dtype, key)

    def test_kinds_of_models(self) -> None:
        for name, kind, projector, strategy, picture in (
            ("vila1_0", "llava", None, "default", ("LlavaImageProcessor", {"shortest_edge": 35})),
            ("vila1_0-linear", "vila", "linear", "full", ("CLIPImageProcessor", {"shortest_edge": 35})),
            ("vila1_5", "vila", "mlp_downsample", "full", ("CLIPImageProcessor", {"height": 38, "width": 38})),
        ):
            config = json.loads((self.folder / f"{name}-hf" / "config.json").read_text())
            found = [config.get(key) for key in ("model_type", "mm_projector_type", "vision_feature_select_strategy")]
            self.assertEqual(found, [kind, projector, strategy])
            pixels = json.loads((self.folder / f"{name}-hf" / "preprocessor_config.json").read_text())
            self.assertEqual((pixels["image_processor_type"], pixels["size"]), picture)

    def test_llama_2_tokens(self) -> None:
        tokenizer = Tokenizer.from_file(str(self.folder / "vila1_5-hf" / "tokenizer.json"))
        reference = Llama2Tokens(self.folder / "vila1_5" / "llm")
        self.assertEqual(tokenizer.token_to_id("<image>"), 0)
        for text in [*texts(), "a</s>b", " a</s> b</s>\n", "é🙂  x\n", "<unk", "▁a b"]:
            with self.subTest(text=text):
                self.assertEqual(tokenizer.encode(f" {text}" if text else "").ids, reference(text))
                ids = reference.pieces.encode(text)
                self.assertEqual(tokenizer.decode(ids), reference.pieces.decode(ids).removeprefix(" "))
        # The chat template writes the spaces.
        for text in ("See <image>\n<image>\nWhat?", " See <image>\n and  more</s>USER: x"):
            spaced = f" {text}".replace("<image>", "<image> ")
            self.assertEqual(
                tokenizer.encode(spaced).ids, prompt_ids(self.folder / "vila1_5", "vila1_5", text, image=0)
            )

    def test_llama_3_tokens(self) -> None:
        folder = self.folder / "vila1_5-llama3"
        original = Tokenizer.from_file(str(folder / "llm" / "tokenizer.json"))
        tokenizer = Tokenizer.from_file(f"{folder}-hf/tokenizer.json")
        self.assertEqual(tokenizer.token_to_id("<image>"), original.token_to_id("<|reserved_special_token_3|>"))
        for text in [*texts(), *LLAMA_3_TOKENS[:4], "a<|eot_id|>b"]:
            self.assertEqual(tokenizer.encode(text).ids, original.encode(text).ids, text)
        ends = json.loads((self.folder / "vila1_5-llama3-hf" / "generation_config.json").read_text())["eos_token_id"]
        self.assertEqual(ends, [original.token_to_id("<|eot_id|>"), original.token_to_id("<|end_of_text|>"), 5])


class Refusals(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name in ("vila1_5", "vila1_0", "vila1_5-llama3"):
            write_vila(self.folder / name, name)

    def change(self, file: str, path: str, value: object) -> None:
        change_field(self.folder / file, path, value)

    def refused(self, name: str, *words: str, options: list[str] | None = None) -> None:
        options = tower_of(self.folder / name, name) if options is None else options
        status, errors = convert(self.folder / name, self.folder / "converted", *options)
        check_refusal(self, status, errors, *words)
        self.assertFalse((self.folder / "converted").exists())

    def test_fields(self) -> None:
        for file, path, value, *words in (
            ("vila1_5/config.json", "model_type", "llava", "llava_llama"),
            ("vila1_5/config.json", "image_aspect_ratio", "dynamic_s2", "NVILA"),
            ("vila1_5/config.json", "image_aspect_ratio", "anyres"),
            ("vila1_5/config.json", "s2", True),
            ("vila1_5/config.json", "mm_use_im_start_end", True),
            ("vila1_5/config.json", "mm_use_im_patch_token", None),
            ("vila1_5/config.json", "mm_vision_select_layer", None),
            ("vila1_5/config.json", "mm_vision_select_layer", -9, "mm_vision_select_layer is -9; the tower has"),
            ("vila1_5/config.json", "mm_vision_select_feature", "patch", "no class token"),
            ("vila1_5/config.json", "mm_vision_select_feature", "cls"),
            ("vila1_5/llm/config.json", "architectures", ["Qwen2ForCausalLM"], "LlamaForCausalLM"),
            ("vila1_5/llm/config.json", "attention_bias", True),
            ("vila1_5/llm/config.json", "vocab_size", None),
            ("vila1_5/llm/config.json", "quantization_config", {"quant_method": "awq"}),
            ("vila1_5/vision_tower/config.json", "model_type", "intern_vit_6b", "VILA1.5-40b"),
            ("vila1_5/vision_tower/config.json", "model_type", "radio"),
            ("vila1_5/vision_tower/config.json", "image_size", None),
            ("vila1_5/vision_tower/config.json", "num_channels", 1),
            ("vila1_5/vision_tower/config.json", "hidden_act", "relu"),
            ("vila1_5/vision_tower/config.json", "num_attention_heads", 7, "hidden_size", "7 heads"),
            ("vila1_5/vision_tower/preprocessor_config.json", "size", {"height": 24, "width": 24}, "38"),
            ("vila1_5/vision_tower/preprocessor_config.json", "image_mean", None),
            ("vila1_5/mm_projector/config.json", "mm_projector_type", "mlp_downsample_3x3_fix", "mlp_downsample"),
            ("vila1_5/llm/tokenizer_config.json", "tokenizer_class", "GemmaTokenizer", "LlamaTokenizer"),
            ("vila1_5/llm/tokenizer_config.json", "add_bos_token", False, "tokenizer_config.json: add_bos_token"),
            ("vila1_0/config.json", "image_aspect_ratio", "resize"),
            ("vila1_0/config.json", "mm_projector_type", "resampler", "linear"),
            ("vila1_0/config.json", "mm_vision_tower", None),
            ("vila1_0/config.json", "max_position_embeddings", "4096"),
            ("vila1_0-clip/config.json", "vision_config.image_size", 28, "preprocessor_config.json: size is 35"),
        ):
            with self.subTest(file=file, path=path, value=value):
                saved = (self.folder / file).read_text()
                self.change(file, path, value)
                inner = file.partition("/")[2]
                self.refused(file.partition("/")[0].removesuffix("-clip"), *(words or [f"{inner}: {path}"]))
                (self.folder / file).write_text(saved)

    def test_the_tower(self) -> None:
        self.refused("vila1_0", "config.json: mm_vision_tower", "openai/clip-vit-large-patch14-336", options=[])
        self.refused("vila1_5", "--vision_tower", options=["--vision_tower", str(self.folder / "vila1_0-clip")])
        self.change("vila1_0/config.json", "mm_projector_type", "mlp_downsample")
        self.change("vila1_0/config.json", "mm_vision_select_feature", "cls_patch")
        self.refused("vila1_0", "mm_vision_select_feature", "mlp_downsample")

    def test_files(self) -> None:
        for file, *words in (
            ("vila1_5/llm/config.json", "llm/config.json"),
            ("vila1_5/vision_tower/preprocessor_config.json", "vision_tower/preprocessor_config.json"),
            ("vila1_5/mm_projector/config.json", "mm_projector/config.json"),
            ("vila1_5/mm_projector/model.safetensors", "model.safetensors", "mm_projector"),
            ("vila1_5/llm/tokenizer.model", "tokenizer.model"),
            ("vila1_5-llama3/llm/tokenizer.json", "tokenizer.model"),
        ):
            path = self.folder / file
            shutil.move(path, self.folder / "away")
            self.refused(file.partition("/")[0], *words)
            shutil.move(self.folder / "away", path)
        tokenizer = self.folder / "vila1_5-llama3" / "llm" / "tokenizer.json"
        saved = tokenizer.read_text()
        for text, *words in (
            ("{", "tokenizer.json"),
            (saved.replace("reserved_special", "other"), "tokenizer.json", "reserved_special_token"),
            (saved.replace("<|eot_id|>", "<|end|>"), "<|eot_id|>"),
        ):
            tokenizer.write_text(text)
            self.refused("vila1_5-llama3", *words)

    def test_tensors(self) -> None:
        for folder, tensor in (
            ("vila1_5/mm_projector", "layers.4.bias"),
            ("vila1_5/vision_tower", "vision_model.encoder.layers.2.mlp.fc1.weight"),
            ("vila1_0-clip", "vision_model.pre_layrnorm.weight"),
        ):
            file = self.folder / folder / "model.safetensors"
            tensors = load(file)
            save(file, {name: t for name, t in tensors.items() if name != tensor}, "F32")
            name = folder.partition("/")[0].removesuffix("-clip")
            self.refused(name, f"{folder.split('/')[-1]}/model.safetensors", tensor, "is missing")
            save(file, {**tensors, "extra": tensors[tensor]}, "F32")
            self.refused(name, "extra")
            save(file, tensors, "F32")


if __name__ == "__main__":
    unittest.main()
