"""The conversation template of a directory => its chat template.

The texts are in the directory's conversation.py, whose source is read and never run.
"""

from __future__ import annotations

import ast
import dataclasses
import pathlib

from chat_template import Turns
from fields import Refused

FILE = "conversation.py"
SYSTEM_MESSAGE = "{system_message}"


@dataclasses.dataclass(frozen=True)
class Conversation:
    system_template: str
    system_message: str
    roles: tuple[str, str]  # what begins a user's and the assistant's message
    sep: str  # what ends every message


def read_conversation(directory: pathlib.Path, name: str) -> Conversation:
    """The one that config.json names."""
    try:
        tree = ast.parse((directory / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(f"{FILE}: is missing in {directory}") from None
    except (SyntaxError, ValueError) as error:
        raise Refused(f"{FILE}: {error}") from None
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Conversation":
            keywords = {keyword.arg: keyword.value for keyword in call.keywords}
            if literal(keywords, "name", "") == name:
                return parse(keywords, name)
    raise Refused(f"config.json: template is {name!r}, which {FILE} does not have")


def literal(keywords: dict[str | None, ast.expr], key: str, default: object) -> object:
    if key not in keywords:
        return default
    try:
        return ast.literal_eval(keywords[key])
    except ValueError:
        raise Refused(f"{FILE}: {key} is not a literal") from None


def parse(keywords: dict[str | None, ast.expr], name: str) -> Conversation:
    style = ast.unparse(keywords["sep_style"]) if "sep_style" in keywords else "SeparatorStyle.ADD_COLON_SINGLE"
    if style != "SeparatorStyle.MPT":
        raise Refused(f"{FILE}: sep_style of {name!r} is {style}; supported: SeparatorStyle.MPT")
    template = literal(keywords, "system_template", SYSTEM_MESSAGE)
    message, sep = literal(keywords, "system_message", ""), literal(keywords, "sep", "\n")
    roles = literal(keywords, "roles", ())
    if not isinstance(roles, tuple | list):
        raise Refused(f"{FILE}: roles of {name!r} is not a tuple")
    for key, text in (
        ("system_template", template),
        ("system_message", message),
        ("sep", sep),
        *(("roles", r) for r in roles),
    ):
        if not isinstance(text, str):
            raise Refused(f"{FILE}: {key} of {name!r} is not text")
    if template.count(SYSTEM_MESSAGE) != 1 or len(roles) != 2 or not sep.strip():
        raise Refused(f"{FILE}: {name!r} needs one {SYSTEM_MESSAGE} in its system_template, two roles and a sep")
    return Conversation(template, message, tuple(roles), sep)


def turns(conversation: Conversation, image_token: str) -> Turns:
    """As the original chat(): the system message, the default one if there is none, and a line for each picture."""
    template, sep = conversation.system_template, conversation.sep
    before, after = template.split(SYSTEM_MESSAGE)
    user, assistant = conversation.roles
    return Turns(
        system=(before, after + sep),
        user=(user, sep),
        assistant=(assistant, sep),
        default_system=template.replace(SYSTEM_MESSAGE, conversation.system_message) + sep,
        generation=assistant,
        picture=f"{image_token}\n",
    )
