"""The table of ./dev bench peers: issue by issue what was measured, next to the aim."""

from __future__ import annotations

import dataclasses
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from participants import Many, Speeds

TITLES = {
    "varserve": "varserve",
    "transformers": "transformers",
    "vllm": "vLLM CPU",
    "openvino": "OpenVINO GenAI",
    "llama.cpp": "llama.cpp (decoder alone)",
}


@dataclasses.dataclass
class Row:
    what: str
    numbers: dict[str, float]  # tokens per second, or one ratio, by participant
    compared_with: str
    ratio: float | None  # None: not measured
    aim: float
    at_most: bool = False
    reasons: dict[str, str] = dataclasses.field(default_factory=dict)  # why a participant has no number

    def reached(self) -> str:
        if self.ratio is None:
            return "not run"
        return "yes" if (self.ratio <= self.aim if self.at_most else self.ratio >= self.aim) else "no"

    def line(self) -> str:
        cells = [f"{self.numbers[name]:.2f}" if name in self.numbers else "-" for name in TITLES]
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}"
        aim = f"{'<=' if self.at_most else '>='} {self.aim:g} {self.compared_with}"
        return " | ".join(["", self.what, *cells, ratio, aim, self.reached(), ""]).strip()


def best_of(numbers: dict[str, float], names: tuple[str, ...]) -> float | None:
    """varserve's number over that of the fastest of `names`."""
    others = [numbers[name] for name in names if name in numbers]
    return numbers["varserve"] / max(others) if others and "varserve" in numbers else None


def rows(
    one: dict[str, dict[str, Speeds]],
    many: dict[str, Many],
    var_ratios: dict[str, float],
    not_run: dict[str, dict[str, str]],
    possible: dict[str, float],
    amx: bool,
) -> list[Row]:
    """`possible`: decoded tokens per second that a plain memory read would allow, by group."""
    everyone = ("transformers", "vllm", "openvino", "llama.cpp")

    def compare(what: str, group: str, field: str, aim: float, names: tuple[str, ...] = everyone) -> Row:
        numbers = {name: getattr(speed, field) for name, speed in one.get(group, {}).items()}
        with_ = "x the best peer" if len(names) > 1 else f"x {names[0]}"
        return Row(what, numbers, with_, best_of(numbers, names), aim, reasons=not_run.get(group, {}))

    def memory(group: str, aim: float) -> Row:
        ours = one.get(group, {}).get("varserve")
        ratio = ours.decode / possible[group] if ours else None
        numbers = {"varserve": ours.decode} if ours else {}
        return Row(f"decode {group}", numbers, f"x the {possible[group]:.1f} that memory allows", ratio, aim)

    at_once = {name: found.tokens_per_second for name, found in many.items()}
    gaps = sorted(many["varserve"].gaps) if "varserve" in many else []
    evenness = gaps[int(0.99 * (len(gaps) - 1))] / statistics.median(gaps) if gaps else None
    # The others compute the picture, too; llama.cpp does not, so it is no measure of prefill.
    with_tower = ("transformers", "vllm", "openvino")
    return [
        compare("prefill bf16, 646 tokens", "bf16", "prefill", 1.0 if amx else 1.2, with_tower),
        compare("decode bf16", "bf16", "decode", 1.2),
        memory("bf16", 0.85),
        compare("decode int8", "int8", "decode", 1.2, ("openvino", "llama.cpp")),
        memory("int8", 0.8),
        compare("decode int4", "int4", "decode", 1.2, ("openvino", "llama.cpp")),
        memory("int4", 0.8),
        Row("8 at once", at_once, "x vLLM", best_of(at_once, ("vllm",)), 1.5, reasons=not_run.get("many", {})),
        Row("8 at once", at_once, "x transformers", best_of(at_once, ("transformers",)), 3.0),
        Row("8 at once: p99 between tokens", {}, "x the median", evenness, 5.0, at_most=True),
        compare("embedded model, prefill", "embedded", "prefill", 1.2, ("transformers",)),
        *(
            Row(f"VAR on over off, {what}", {}, "x the time", var_ratios.get(what), 1.03, at_most=True)
            for what in ("prefill", "decode")
        ),
    ]


def table(found: list[Row]) -> str:
    heads = ["", "tokens/s", *TITLES.values(), "ratio", "aim", "reached", ""]
    lines = [" | ".join(heads).strip(), "|---" * (len(heads) - 2) + "|", *(row.line() for row in found)]
    reasons = [
        f"{row.what}: {TITLES[name]}: not run: {reason}" for row in found for name, reason in row.reasons.items()
    ]
    return "\n".join([*lines, "", *dict.fromkeys(reasons)])
