"""Writes the text goldens: two small model directories without weights, and what transformers' processor makes of
conversations with them.

usage: make_text_goldens.py OUT_DIR [--smollm2 MODEL_DIR]      (transformers 5.23; see tests/golden/README.md)

OUT_DIR/byte_level, OUT_DIR/llama  model directories: a byte-level BPE as GPT-2's and SmolLM2's, and a
                                   SentencePiece-like BPE with byte fallback as Llama 2's
OUT_DIR/prompts.json               token ids of conversations, per directory
OUT_DIR/templates.json             rendered chat templates
OUT_DIR/smollm2.json               token ids of single texts with SmolLM2's own tokenizer, if its directory is given
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from jinja2.exceptions import TemplateError
from PIL import Image
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoProcessor, AutoTokenizer, PreTrainedTokenizerFast, ProcessorMixin

from chat_templates import (
    IMAGE,
    STRING_CONVERSATIONS,
    STRING_TEMPLATES,
    TEMPLATE_CONVERSATIONS,
    TEMPLATES,
    Conversation,
    message,
    text_part,
)
from tricky_texts import texts

REPOSITORY = Path(__file__).parents[2]

# A corpus large enough for common words to become tokens.
CORPUS = [(REPOSITORY / "LICENSE").read_text(), *texts(), "What is in the image? How many cats are there? " * 20]

BYTE_LEVEL_TEMPLATE = """\
{%- for message in messages -%}
    {%- for part in message['content'] if part['type'] == 'image' -%}<image>{%- endfor -%}
    {{- '<|im_start|>' + message['role'] + '\\n' -}}
    {%- for part in message['content'] if part['type'] == 'text' -%}{{ part['text'] }}{%- endfor -%}
    {{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif -%}
"""

# Writes no BOS: the tokenizer adds it. Trims, and puts text right after special tokens.
LLAMA_TEMPLATE = """\
{% for message in messages %}
{% if message['role'] != 'system' %}
{{ message['role'].upper() + ': ' }}{% endif %}
{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}
{{ '<image>\\n' }}{% endfor %}
{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}
{% generation %}{{ part['text'] | trim + ' ' }}{% endgeneration %}
{% endfor %}{{ eos_token if message['role'] == 'assistant' }}{% endfor %}
{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}
"""


def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=1200,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken("<image>", special=True, normalized=False)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        pad_token="<|im_end|>",
    )


def llama_tokenizer() -> PreTrainedTokenizerFast:
    # Trained on words, then put together as sentencepiece models are converted: no pre-tokenizer, bytes for the rest.
    words = Tokenizer(models.BPE())
    words.normalizer = normalizers.Replace(Regex(r"[^\x21-\x7e ]"), "")
    words.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    words.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=800, show_progress=False))
    trained = json.loads(words.to_str())["model"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += [piece for piece, _ in sorted(trained["vocab"].items(), key=lambda item: item[1])]
    pieces += ["▁▁", "▁▁▁▁", "é", "中", "\n", "\t"]
    merges = [tuple(merge) for merge in trained["merges"]] + [("▁", "▁"), ("▁▁", "▁▁")]
    # A whole special token among the pieces, as converters that try every pair leave them.
    pieces += ["</", "s>"]
    merges += [("<", "/"), ("s", ">"), ("</", "s>")]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", 1)])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<unk>", "<s>", "</s>")])
    tokenizer.add_special_tokens(
        [AddedToken("<image>", special=True, normalized=False), AddedToken("<pad>", special=True, normalized=True)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )


def write_model_dir(path: Path, tokenizer: PreTrainedTokenizerFast, template: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(path)
    (path / "tokenizer.json").write_text(tokenizer.backend_tokenizer.to_str(pretty=False) + "\n")
    (path / "chat_template.jinja").write_text(template)
    image_token_id = tokenizer.convert_tokens_to_ids("<image>")
    config = {
        "model_type": "llava",
        "image_token_index": image_token_id,
        "text_config": {"model_type": "llama"},
        "vision_config": {"model_type": "clip_vision_model"},
    }
    image_processor = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 28},
        "crop_size": {"height": 28, "width": 28},
    }
    processor = {
        "processor_class": "LlavaProcessor",
        "image_token": "<image>",
        "patch_size": 14,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
    }
    for name, content in [
        ("config", config),
        ("preprocessor_config", image_processor),
        ("processor_config", processor),
    ]:
        (path / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def conversations() -> Iterator[Conversation]:
    for text in texts():
        yield [message("user", IMAGE, text_part(text))]
    odd = ["  spaces  ", "\n", "é中😀", "> quoted", "ends with <"]
    yield [message("user", text_part("No image here."))]
    yield [message("system", text_part("You are helpful.")), message("user", IMAGE, text_part("Describe it."))]
    yield [message("user", IMAGE, text_part(a), text_part(b)) for a, b in [(odd[0], odd[1])]]
    yield [message("user", IMAGE, IMAGE, text_part("Compare them."), IMAGE)]
    for first in odd:
        for second in odd:
            yield [
                message("user", IMAGE, text_part(first)),
                message("assistant", text_part(second)),
                message("user", text_part(first + second), IMAGE),
            ]


def processor_ids(processor: ProcessorMixin, conversation: Conversation) -> list[int]:
    picture = Image.new("RGB", (28, 28))
    with_pictures = [
        {**m, "content": [{**p, "image": picture} if p["type"] == "image" else p for p in m["content"]]}
        for m in conversation
    ]
    options = {"tokenize": True, "add_generation_prompt": True, "return_dict": True}
    return processor.apply_chat_template(with_pictures, **options)["input_ids"][0]


def with_strings(conversation: Conversation, roles: Sequence[str]) -> list[dict]:
    return [{**m, "content": m["content"][0]["text"]} if m["role"] in roles else m for m in conversation]


def template_goldens(tokenizer: PreTrainedTokenizerFast) -> Iterator[dict]:
    cases = [(name, template, c, c) for name, template in TEMPLATES.items() for c in TEMPLATE_CONVERSATIONS]
    for name, (roles, template) in STRING_TEMPLATES.items():
        cases += [(name, template, c, with_strings(c, roles)) for c in STRING_CONVERSATIONS]
    for name, template, conversation, given in cases:
        golden = {"name": name, "template": template, "messages": conversation}
        options = {"chat_template": template, "tokenize": False, "add_generation_prompt": True}
        try:
            golden["text"] = tokenizer.apply_chat_template(given, **options)
        except TemplateError as error:
            golden["raised"] = str(error)
        yield golden


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--smollm2", type=Path, help="model directory with SmolLM2's tokenizer")
    arguments = parser.parse_args()
    out = arguments.out_dir

    write_model_dir(out / "byte_level", byte_level_tokenizer(), BYTE_LEVEL_TEMPLATE)
    write_model_dir(out / "llama", llama_tokenizer(), LLAMA_TEMPLATE)
    prompts = []
    for name in ("byte_level", "llama"):
        processor = AutoProcessor.from_pretrained(out / name)
        for conversation in conversations():
            ids = processor_ids(processor, conversation)
            text = processor.tokenizer.decode(ids, skip_special_tokens=True)
            prompts.append({"model": name, "messages": conversation, "ids": ids, "text": text})
    write_json(out / "prompts.json", prompts)
    write_json(out / "templates.json", list(template_goldens(AutoTokenizer.from_pretrained(out / "llama"))))

    if arguments.smollm2:
        tokenizer = AutoTokenizer.from_pretrained(arguments.smollm2)
        encoded = [{"text": t, "ids": tokenizer.encode(t, add_special_tokens=False)} for t in texts()]
        write_json(out / "smollm2.json", encoded)


if __name__ == "__main__":
    main()
