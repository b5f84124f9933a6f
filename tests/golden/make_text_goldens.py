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
from pathlib import Path

from jinja2.exceptions import TemplateError
from PIL import Image
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoProcessor, AutoTokenizer, PreTrainedTokenizerFast

from tricky_texts import texts

REPOSITORY = Path(__file__).parents[2]
NUM_VISUAL_TOKENS = 4  # 2 x 2

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

# Writes no BOS: the tokenizer adds it. Trims, and puts text right behind special tokens.
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


def byte_level_tokenizer():
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


def llama_tokenizer():
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


def write_model_dir(path, tokenizer, template):
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


def text_part(text):
    return {"type": "text", "text": text}


IMAGE = {"type": "image"}


def message(role, *parts):
    return {"role": role, "content": list(parts)}


def conversations():
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


def processor_ids(processor, conversation):
    picture = Image.new("RGB", (28, 28))
    with_pictures = [
        {**m, "content": [{**p, "image": picture} if p["type"] == "image" else p for p in m["content"]]}
        for m in conversation
    ]
    options = {"tokenize": True, "add_generation_prompt": True, "return_dict": True}
    return processor.apply_chat_template(with_pictures, **options)["input_ids"][0]


TEMPLATES = {
    "default system, namespace": """\
{% set ns = namespace(images=0) %}
{% for message in messages %}{% if loop.first and message.role != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}\
{% if part.type == 'image' or 'image' in part %}{% set ns.images = ns.images + 1 %}Picture {{ ns.images }}: <image>\
{% elif 'text' in part %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}""",
    "alternating roles, strip, slices": """\
{%- if messages[0]['role'] == 'system' -%}
  {%- set system = messages[0]['content'][0]['text'].strip() -%}{%- set rest = messages[1:] -%}
{%- else -%}{%- set system = '' -%}{%- set rest = messages -%}{%- endif -%}
{%- for message in rest -%}
  {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
    {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}
  {%- endif -%}
  {%- set text = message['content'] | selectattr('type', 'equalto', 'text') | map(attribute='text') | join(' ') -%}
  {%- if message['role'] == 'user' -%}
    {{- bos_token + '[INST] ' + ('<<SYS>>' ~ system ~ '<</SYS>> ' if loop.first and system else '') \
+ text.strip() + ' [/INST]' -}}
  {%- else -%}{{- ' ' + text.strip() + ' ' + eos_token -}}{%- endif -%}
{%- endfor -%}""",
    "string methods": """\
{% for m in messages %}{% for p in m.content if p.type == 'text' %}\
{% set t = p.text %}[{{ t.lstrip() }}][{{ t.rstrip() }}][{{ t.strip('x ') }}][{{ t | trim }}][{{ t | length }}]\
[{{ t.startswith('<') }}][{{ t.endswith('<') }}][{{ 'x' in t }}][{{ t.split('</think>')[-1] }}]\
[{{ t.replace('\\n', '|') }}][{{ t[:3] }}][{{ t[-2:] }}][{{ t | first }}][{{ m.role.title() }}][{{ t.find('e') }}]
{% endfor %}{% endfor %}""",
    "json": """\
{% for m in messages %}{{ m | tojson }} {{ m.content | tojson(indent=2) }} {{ 'a<b>&\\'"' | tojson }}
{% endfor %}{{ [1, 2.5, none, true] | tojson }}""",
    "loops and macros": """\
{% macro show(part, n=1) %}<{{ part.type }}{{ n }}>{% endmacro %}
{% for m in messages %}
  {% for p in m.content %}
    {% if p.type == 'image' %}{% continue %}{% endif %}
    {% if loop.index > 2 %}{% break %}{% endif %}
{{ show(p, n=loop.index) }} {{ loop.first }} {{ loop.last }} {{ loop.length }}
  {% endfor %}
{% endfor %}
{{ messages | length }} {{ messages[-1].role }} {{ messages[::-1][0].role }} {{ 7 // 2 }} {{ 7 / 2 }} {{ 2 ** 3 }}
{% if tools is defined and tools %}tools{% else %}no tools{% endif %} {{ nothing is defined }}{{ nothing }}
{{ dict(a=1)['a'] }} {{ ('a', 'b') | join('-') }} {{ ['b', 'a'] | sort | join }} {{ 'x' if false }} {{ 1 == 1.0 }}
{{- '\\n' }}{# comment #}{% set x = 'set' %}{{ x ~ 1 ~ true ~ none }}""",
    "generation": """\
{% for m in messages %}{% if m.role == 'assistant' %}{%- generation %}{{ m.content[0].text }}{% endgeneration -%}
{% else %}{{ m.content[-1].text }}
{% endif %}{% endfor %}""",
}

# Templates that take text-only messages of these roles as strings, as transformers lets a caller give them.
STRING_TEMPLATES = {
    "all strings": (
        ("system", "user", "assistant"),
        """\
{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] + ' ' }}{% set messages = messages[1:] %}{% endif %}
{% for message in messages %}{% if message['role'] == 'user' %}
{{ 'USER: ' + message['content'].strip() }}{% else %}
{{ ' ASSISTANT: ' ~ message.content | trim ~ eos_token }}{% endif %}{% endfor %}""",
    ),
    "all strings, printed": (
        ("system", "user", "assistant"),
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}{% endfor %}",
    ),
    "strings but for users": (
        ("system", "assistant"),
        """\
{% for m in messages %}{% if m.role == 'user' %}[INST]{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}\
{% else %}[IMG]{% endif %}{% endfor %}[/INST]{% elif m.role == 'system' %}{{ m.content }}
{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}""",
    ),
    "strings or lists": (
        (),
        """\
{% for m in messages %}{{ m.role }}: {% if m.content is string %}string {{ m.content }}{% else %}list\
{% for p in m.content %} {{ p.text }}{% endfor %}{% endif %}
{% endfor %}""",
    ),
}

STRING_CONVERSATIONS = [
    [message("user", text_part(' What\'s "this"? '))],
    [
        message("system", text_part("Be brief.")),
        message("user", text_part("Hi <\n")),
        message("assistant", text_part("Yes?")),
        message("user", text_part("it's 'é中😀'")),
    ],
]

TEMPLATE_CONVERSATIONS = [
    [message("user", IMAGE, text_part("What is this?"))],
    [message("system", text_part(" Be brief. ")), message("user", text_part("  x Hi <\n"), IMAGE)],
    [
        message("user", IMAGE, text_part("<one>\n two x"), text_part("three")),
        message("assistant", text_part("thought</think> answer\x1f\x85 ")),
        message("user", text_part('é中😀 it\'s "quoted"')),
    ],
    [message("user", text_part("a")), message("user", text_part("b"))],
]


def with_strings(conversation, roles):
    return [{**m, "content": m["content"][0]["text"]} if m["role"] in roles else m for m in conversation]


def template_goldens(tokenizer):
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


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
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
