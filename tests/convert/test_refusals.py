"""What the converter does not know it refuses, with one line that names it, and leaves nothing half written."""

import json
import pathlib
import shutil
import tempfile
import unittest

from sentencepiece import sentencepiece_model_pb2

from directories import change_field, check_refusal, convert, load, save, write_original
from originals import sentencepiece_model


class Refusals(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.base = pathlib.Path(cls.folder.name) / "base"
        write_original(cls.base, "internlm2")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.folder.cleanup()

    def setUp(self) -> None:
        self.source = self.base.with_name("changed")
        shutil.rmtree(self.source, ignore_errors=True)
        shutil.copytree(self.base, self.source)

    def refused(self, *words: str) -> None:
        status, errors = convert(self.source, self.source.with_name("converted"))
        check_refusal(self, status, errors, *words)
        self.assertEqual(sorted(path.name for path in self.source.parent.iterdir()), ["base", "changed"])

    def change(self, file: str, path: str, value: object) -> None:
        change_field(self.source / file, path, value)

    def test_fields_of_the_config(self) -> None:
        for path, value, *words in (
            ("model_type", "internvl"),
            ("ps_version", "v1", "'v1'", "'v2'"),
            ("ps_version", None),
            ("select_layer", -4),
            ("downsample_ratio", 0.25),
            ("pad2square", True),
            ("dynamic_image_size", False),
            ("use_thumbnail", False),
            ("use_llm_lora", 16),
            ("force_image_size", 32, "16"),
            ("max_dynamic_patch", None),
            ("min_dynamic_patch", 7, "6"),
            ("template", "phi3-chat", "config.json: template"),
            ("template", "plain", "sep_style", "INTERNVL_ZH"),
            ("quantization_config", {"quant_method": "awq"}),
            ("llm_config", None),
            ("llm_config.architectures", ["Phi3ForCausalLM"], "InternLM2ForCausalLM"),
            ("llm_config.architectures", [["LlamaForCausalLM"]]),
            ("llm_config.bias", True),
            ("llm_config.bias", None),
            ("llm_config.hidden_act", "gelu"),
            ("llm_config.num_attention_heads", "6"),
            ("llm_config.hidden_size", 97, "6 heads"),
            ("llm_config.hidden_size", 60, "heads of 10"),
            ("llm_config.rope_scaling.type", "yarn", "'llama3'"),
            ("llm_config.num_key_value_heads", 4),
            ("llm_config.vocab_size", 100, "<IMG_CONTEXT>"),
            ("llm_config.rope_theta", None),
            ("vision_config.hidden_act", "relu"),
            ("vision_config.norm_type", "batch_norm"),
            ("vision_config.hidden_size", 33, "2 heads"),
            ("vision_config.image_size", 20, "force_image_size"),
            ("vision_config.qkv_bias", None),
        ):
            with self.subTest(path=path, value=value):
                self.setUp()
                self.change("config.json", path, value)
                self.refused("conversation.py" if path == "template" else path, *words)

    def test_sliding_windows(self) -> None:
        shutil.rmtree(self.source)
        write_original(self.source, "qwen2")
        self.change("config.json", "llm_config.use_sliding_window", True)
        self.change("config.json", "llm_config.sliding_window", 511)
        self.refused("llm_config.use_sliding_window")

    def test_norms_of_q_and_k_with_another_epsilon(self) -> None:
        self.change("config.json", "vision_config.qk_normalization", True)
        self.change("config.json", "vision_config.layer_norm_eps", 1e-5)
        self.refused("vision_config.layer_norm_eps", "qk_normalization")

    def test_tensors(self) -> None:
        file = self.source / "model.safetensors"
        tensors = load(file)
        wqkv = "language_model.model.layers.1.attention.wqkv.weight"
        rest = {name: tensor for name, tensor in tensors.items() if name != wqkv}
        for changed, *words in (
            (rest, wqkv, "is missing"),
            ({**rest, wqkv: tensors[wqkv][:-1]}, wqkv, "159 rows", "160"),
            ({**tensors, f"{wqkv}.lora_A": tensors[wqkv]}, f"{wqkv}.lora_A"),
        ):
            save(file, changed, "F32")
            self.refused("model.safetensors", *words)
        file.write_bytes(file.read_bytes()[:-1])
        self.refused("model.safetensors")
        save(self.source / "a.safetensors", tensors, "F32")
        save(self.source / "b.safetensors", {wqkv: tensors[wqkv]}, "F32")
        file.unlink()
        index = self.source / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}))
        self.refused("b.safetensors", wqkv, "a.safetensors")
        index.write_text(json.dumps({"weight_map": {"x": "../base/model.safetensors"}}))
        self.refused("weight_map", "../base")
        for names, *words in (({}, "names no file"), ({"x": ".."}, "'..'"), ({"x": ""}, "''")):
            index.write_text(json.dumps({"weight_map": names}))
            self.refused("model.safetensors.index.json: weight_map", *words)
        index.unlink()
        file.mkdir()
        self.refused("model.safetensors", "is not a file")
        file.rmdir()
        (self.source / "pytorch_model.bin").touch()
        self.refused("pytorch_model.bin", "torch.save")

    def test_tensors_that_are_no_rows(self) -> None:
        for name, dtype, shape, size, word in (
            ("empty", "F32", [0, 4], 0, "'empty' of shape [0, 4]"),
            ("line\nbreak", "F32", [1], 4, "'line\\nbreak'"),
        ):
            entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}
            header = json.dumps({name: entry}).encode()
            file = self.source / "model.safetensors"
            file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
            self.refused("model.safetensors", word)

    def test_tokenizers(self) -> None:
        model = self.source / "tokenizer.model"
        for options, word in (
            ({"model_type": "unigram"}, "model_type"),
            ({"byte_fallback": False}, "byte_fallback"),
            ({"normalization_rule_name": "nmt_nfkc"}, "normalizer_spec.name"),
            ({"remove_extra_whitespaces": True}, "remove_extra_whitespaces"),
            ({"add_dummy_prefix": True, "user_defined_symbols": ["[X]"]}, "add_dummy_prefix"),
            ({"treat_whitespace_as_suffix": True}, "treat_whitespace_as_suffix"),
        ):
            model.write_bytes(sentencepiece_model(**options))
            self.refused("tokenizer.model", word)
        proto = sentencepiece_model_pb2.ModelProto.FromString(sentencepiece_model())
        for unknown in (-1, len(proto.pieces)):
            proto.trainer_spec.unk_id = unknown
            model.write_bytes(proto.SerializeToString())
            self.refused("tokenizer.model", "unk_id")
        model.write_bytes(b"\xff\xff")
        self.refused("tokenizer.model")
        model.unlink()
        self.refused("tokenizer.model")
        (self.source / "tokenizer.json").write_text("{}")
        self.refused("tokenizer.json")
        (self.source / "tokenizer.json").unlink()
        self.change("tokenizer_config.json", "tokenizer_class", "Qwen2Tokenizer")
        self.refused("vocab.json")
        for name in ("vocab.json", "merges.txt"):
            (self.source / name).write_text("{")
        self.refused("vocab.json")

    def test_fields_of_the_tokenizer(self) -> None:
        tokens = "added_tokens_decoder"
        image = next(
            key
            for key, entry in json.loads((self.base / "tokenizer_config.json").read_text())[tokens].items()
            if entry["content"] == "<IMG_CONTEXT>"
        )
        for path, value, *words in (
            ("tokenizer_class", "LlamaTokenizer", "InternLM2Tokenizer"),
            ("add_eos_token", True),
            ("bos_token", "<bos>"),
            (tokens, None),
            (f"{tokens}.{image}", None, f"{tokens}.{int(image) + 1}"),
            (f"{tokens}.{image}.content", "<image>", tokens, "<IMG_CONTEXT>"),
            (f"{tokens}.{image}.special", "yes"),
            (f"{tokens}.{'1' * 5000}", {"content": "<x>"}),
            ("bos_token", "\ud800", "surrogates"),
        ):
            with self.subTest(path=path):
                self.setUp()
                self.change("tokenizer_config.json", path, value)
                self.refused("tokenizer_config.json", *(words or [path]))

    def test_end_tokens(self) -> None:
        for value in ([[1]], [{}], [None], [-1]):
            (self.source / "generation_config.json").write_text(json.dumps({"eos_token_id": value}))
            self.refused("generation_config.json: eos_token_id", repr(value[0]))

    def test_files_nested_deeply(self) -> None:
        (self.source / "config.json").write_text("[" * 200000)
        self.refused("config.json", "nested")

    def test_files(self) -> None:
        for name in ("config.json", "conversation.py", "tokenizer_config.json"):
            self.setUp()
            (self.source / name).write_text("{")
            self.refused(name)
            (self.source / name).unlink()
            self.refused(name)

    def test_a_target_that_exists(self) -> None:
        self.assertEqual(convert(self.source, self.base), (1, f"convert: {self.base}: exists already\n"))
        link = self.source / "link"
        link.symlink_to("nowhere")
        self.assertEqual(convert(self.source, link), (1, f"convert: {link}: exists already\n"))


if __name__ == "__main__":
    unittest.main()
