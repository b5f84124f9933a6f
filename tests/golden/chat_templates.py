"""Chat templates in the ways models write them, and conversations that show where they differ."""

Part = dict[str, str]
Message = dict[str, str | list[Part]]
Conversation = list[Message]


def text_part(text: str) -> Part:
    return {"type": "text", "text": text}


IMAGE = {"type": "image"}


def message(role: str, *parts: Part) -> Message:
    return {"role": role, "content": list(parts)}


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
