"""Makes a manual page of what a program prints with --help.

usage: manual_page.py PROGRAM SECTION OUT
Reads abseil's form (varserve-server) and CLI11's (varserve, whose commands become sections).
"""

import pathlib
import re
import subprocess
import sys

HEADING = re.compile(r"^([A-Z][A-Za-z ]*):\s*$")
# "  --flag (default: 1;)", "  --option TEXT  what it does", "  ask      what it does"
ENTRY = re.compile(r"^ {2}(\S.*?)(?: {2,}(\S.*))?$")


def escaped(text: str) -> str:
    """Text that troff prints as it is, with hyphens that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def entry(term: str, text: str) -> list[str]:
    name, space, rest = term.partition(" ")
    lines = [".TP", f"\\fB{escaped(name)}\\fR{space}{escaped(rest)}"]
    return [*lines, escaped(text)] if text else lines


def body(help_text: str) -> list[str]:
    """troff of a help text: headings, entries with what they mean, and paragraphs."""
    lines: list[str] = []
    for line in help_text.splitlines():
        if heading := HEADING.match(line):
            lines += [".SS", escaped(heading[1])]
        elif not line.strip():
            lines.append(".PP")
        elif found := ENTRY.match(line):
            lines += entry(found[1], found[2] or "")
        elif line.startswith("   "):  # goes on with the entry above
            lines.append(escaped(line.strip()))
        else:
            lines += [escaped(line.strip()), ".br"]
    return lines


def commands(help_text: str) -> list[str]:
    """Names below CLI11's heading "Subcommands:"."""
    _, _, listed = help_text.partition("\nSubcommands:\n")
    found = []
    for line in listed.splitlines():
        if not (match := re.match(r"^ {2}([a-z]+)(?: |$)", line)):
            if line.startswith("   "):
                continue
            break
        found.append(match[1])
    return found


def page(name: str, section: str, version: str, help_text: str, help_of_commands: dict[str, str]) -> str:
    summary = next(line for line in help_text.splitlines() if line.strip())
    lines = [
        f'.TH {name.upper()} {section} "" "VARServe {version}"',
        ".SH NAME",
        f"{name} \\- {escaped(summary.rstrip('.'))}",
        ".SH DESCRIPTION",
        *body(help_text),
    ]
    for command, text in help_of_commands.items():
        lines += [f'.SH "{name} {command}"'.upper(), *body(text)]
    return "\n".join(lines) + "\n"


def printed(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    program, section, out = sys.argv[1:]
    help_text = printed(program, "--help")
    name, version = printed(program, "--version").split()
    help_of_commands = {command: printed(program, command, "--help") for command in commands(help_text)}
    pathlib.Path(out).write_text(page(name, section, version, help_text, help_of_commands))


if __name__ == "__main__":
    main()
