"""The conversations of VILA's conversation.py: vicuna_v1 with Llama 2's tokenizer, llama_3 with Llama 3's."""

from __future__ import annotations

from chat_template import Turns

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
LLAMA_3_SYSTEM = (
    "You are a helpful language and vision assistant. "
    "You are able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language."
)
LLAMA_3_ENDS = ("<|eot_id|>", "<|end_of_text|>")  # of a message, and of a conversation


def vicuna_v1(eos: str) -> Turns:
    """The first space, and that of a picture, are the dummy prefixes of the original code, which tokenizes the texts
    between pictures one by one."""
    return Turns(
        system=(" ", " "),
        user=("USER: ", " "),
        assistant=("ASSISTANT: ", eos),
        default_system=f" {SYSTEM} ",
        generation="ASSISTANT:",
        picture="<image> \n",
    )


def llama_3(bos: str) -> Turns:
    """`bos`: what the tokenizer puts before a text, in front of the conversation's own."""

    def begin(role: str) -> str:
        return f"<|start_header_id|>{role}<|end_header_id|>\n\n"

    system, end = f"{bos}<|begin_of_text|>{begin('system')}", LLAMA_3_ENDS[0]
    return Turns(
        system=(system, end),
        user=(begin("user"), end),
        assistant=(begin("assistant"), end),
        default_system=f"{system}{LLAMA_3_SYSTEM}{end}",
        generation=begin("assistant"),
        picture="<image>\n",
    )
