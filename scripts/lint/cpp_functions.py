"""Finds the functions of a C++ file and the lines they take, by their braces alone: no compiler, no preprocessor.

Comments and literals are blanked. Then a brace at namespace or class scope opens a function if the statement it ends
has a parameter list and is not a class, an enumeration, a namespace or an initializer. A lambda is part of the function
it is in; one that initializes a variable of a namespace is not counted. Code whose braces do not match without the
preprocessor (an #if around half a function) is an error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Comments, raw strings, strings and characters; a digit separator (1'000) is not a character.
BLANKED = re.compile(
    r"//(?:\\\n|[^\n])*|/\*.*?\*/"
    r'|R"(?P<mark>[^ ()\\\n]*)\(.*?\)(?P=mark)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'",
    re.DOTALL,
)
DIRECTIVE = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.MULTILINE)
SCOPE = re.compile(r"^(?:inline\s+)?(?:namespace|extern)\b|^(?:template\s*<.*>\s*)?(?:class|struct|union)\b", re.DOTALL)
NAME = re.compile(
    r"((?:[\w:]*::)?operator\s*(?:\(\)|[^\s(]+)|(?!(?:decltype|alignas|noexcept|ABSL_\w+)\b)[~\w:]+)\s*\("
)


@dataclass(frozen=True)
class Function:
    name: str
    line: int  # of the first line of its declaration
    lines: int  # from there to the closing brace, both included


def blank(text: str) -> str:
    """The text without directives, comments and the insides of literals, its lines where they were."""

    def spaces(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])

    return DIRECTIVE.sub(spaces, BLANKED.sub(spaces, text))


def functions(path: str, text: str) -> Iterator[Function]:
    """Those of a file; `path` is for errors."""
    code = blank(text)
    scopes = 0  # namespaces and classes that are open
    depth = 0  # braces open below them: of a function, an initializer or an enumeration
    start = 0  # of the statement we are in, at scope level
    function: tuple[str, int] | None = None  # name and first character of the one we are in
    for match in re.finditer(r"[{};]|\b(?:public|protected|private)\s*:", code):
        token, at = match[0], match.start()
        if token == "{":
            statement = code[start:at]
            head = statement.strip()
            if depth == 0 and SCOPE.match(head) and not head.endswith(")"):
                scopes, start = scopes + 1, match.end()
                continue
            if depth == 0 and (name := _function_name(head)):
                function = (name, start + len(statement) - len(statement.lstrip()))
            depth += 1
        elif token == "}" and depth == 0:
            scopes, start = scopes - 1, match.end()
            if scopes < 0:
                raise ValueError(f"{path}:{_line(code, at)}: a brace too many")
        elif token == "}":
            depth -= 1
            if depth == 0 and function:
                name, begin = function
                first = _line(code, begin)
                yield Function(name, first, _line(code, at) - first + 1)
                function, start = None, match.end()
        elif depth == 0:
            start = match.end()
    if scopes or depth:
        raise ValueError(f"{path}: a brace is not closed")


def _function_name(head: str) -> str | None:
    """The name of the function whose body opens after `head`, if it does."""
    head = _without_nested(re.sub(r"^template\s*<.*?>\s+(?=\w)", "", head, flags=re.DOTALL))
    if head.count("(") != head.count(")"):
        return None  # inside a parameter list: a default argument
    if "=" in head and "operator" not in head:
        return None  # = {..}, = Type{..}, or a lambda
    # In "Name(int a) : a_{a} {" the first brace is an initializer's, the last one opens the body.
    if re.search(r"\)\s*(?:noexcept\s*)?:(?!:)", head) and not head.endswith((")", "}")):
        return None
    found = NAME.search(head)
    return re.sub(r"\s+", "", found[1]) if found else None


def _without_nested(head: str) -> str:
    """With nothing inside closed parentheses."""
    kept: list[str] = []
    opened: list[int] = []
    for character in head:
        if character == ")" and opened:
            del kept[opened.pop() + 1 :]
        if character == "(":
            opened.append(len(kept))
        kept.append(character)
    return "".join(kept)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
