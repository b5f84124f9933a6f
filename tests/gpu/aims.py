"""What the cuda backend should reach on an H100 or H200, next to what a run measured."""

import dataclasses
from collections.abc import Callable

Rows = dict[str, dict[str, tuple[float | str, str]]]  # step: name: value, unit


def value(rows: Rows, step: str, name: str) -> float:
    """KeyError if it was not measured."""
    return float(rows[step][name][0])


@dataclasses.dataclass(frozen=True)
class Aim:
    what: str
    aim: str
    measured: Callable[[Rows], float]
    unit: str = ""


SEVEN = "seven_billion"
ONE = "decode, one sequence"
AIMS = (
    Aim("decode, 7B, one sequence, of what reading the weights allows", ">= 80 %",
        lambda r: value(r, SEVEN, "share of that"), "%"),
    Aim("VAR on over off, decode step alone", "<= 1.03",
        lambda r: value(r, SEVEN, "VAR on over off: decode step alone")),
    Aim("VAR on over off, step of 32, half of them on", "<= 1.03",
        lambda r: value(r, SEVEN, "VAR on over off: step of 32, half of them on")),
    Aim("VAR on over off, prefill of text", "<= 1.03", lambda r: value(r, SEVEN, "VAR on over off: prefill")),
    Aim("decode, 32 sequences over one", ">= 20",
        lambda r: value(r, SEVEN, "decode, 32 sequences") / value(r, SEVEN, ONE)),
    Aim("decode over transformers with static cache, compiled", ">= 1.3",
        lambda r: value(r, SEVEN, ONE) / value(r, "transformers", "static cache, compiled: decode, one sequence")),
    Aim("first token of a question on a new picture, 7B", "<= 60 ms",
        lambda r: value(r, SEVEN, "first token of a question on a new picture"), "ms"),
    Aim("first token of a second question on it, 7B", "<= 12 ms",
        lambda r: value(r, SEVEN, "first token of a second question on it"), "ms"),
    Aim("between tokens, p99 over the median, 16 callers with new pictures, 7B", "<= 2",
        lambda r: value(r, SEVEN, "16 callers, a new picture each question: p99 over the median")),
    Aim("decode, embedded model, one sequence", ">= 600 tok/s", lambda r: value(r, "embedded", ONE), "tok/s"),
    Aim("step without graphs over step with, embedded model", "> 1",
        lambda r: value(r, "embedded", "decode step, one sequence, without graphs")
        / value(r, "embedded", "decode step, one sequence")),
)  # fmt: skip


def markdown(rows: Rows) -> list[str]:
    lines = ["| aim of the cuda backend | aim | measured |", "|---|---:|---:|"]
    for aim in AIMS:
        try:
            measured = f"{aim.measured(rows):.3g} {aim.unit}".strip()
        except KeyError:
            measured = "not measured"
        lines.append(f"| {aim.what} | {aim.aim} | {measured} |")
    return lines
