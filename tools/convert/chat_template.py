"""A chat template: what is around the messages of each role."""

from __future__ import annotations

import dataclasses
import json


@dataclasses.dataclass(frozen=True)
class Turns:
    """Texts; the content of a message is between its role's two."""

    system: tuple[str, str]
    user: tuple[str, str]
    assistant: tuple[str, str]
    default_system: str  # the whole message, where a conversation has none
    generation: str  # begins the answer
    picture: str


def chat_template(turns: Turns) -> str:
    def quoted(text: str) -> str:
        return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}"

    def message(begin: str, end: str) -> str:
        return f"{quoted(begin)}{content}{quoted(end)}"

    content = (
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
        "{% for part in message['content'] %}"
        f"{{% if part['type'] == 'image' %}}{quoted(turns.picture)}"
        "{% elif part['type'] == 'text' %}{{ part['text'] }}"
        "{% else %}{{ raise_exception('only texts and pictures are supported') }}{% endif %}"
        "{% endfor %}{% endif %}"
    )
    return (
        f"{{% if messages[0]['role'] != 'system' %}}{quoted(turns.default_system)}{{% endif %}}"
        "{% for message in messages %}"
        f"{{% if message['role'] == 'system' %}}{message(*turns.system)}"
        f"{{% elif message['role'] == 'user' %}}{message(*turns.user)}"
        f"{{% elif message['role'] == 'assistant' %}}{message(*turns.assistant)}"
        "{% else %}{{ raise_exception('roles are system, user and assistant') }}{% endif %}"
        "{% endfor %}"
        f"{{% if add_generation_prompt %}}{quoted(turns.generation)}{{% endif %}}"
    )
