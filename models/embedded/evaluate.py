"""Ask a running server about held-out scenes and count the correct answers. With --model, ask transformers instead.

Splits: {splits}.
Writes a table to standard output. With --json, also writes every question and reply to a file.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from evaluation.answerer import Answerer, TransformersAnswerer
from evaluation.exam import SPLITS, Sheet, Split, sheets
from evaluation.scoring import judge
from evaluation.server_answerer import ServerAnswerer, ServerError, server_flags
from scenes.photographs import SUBJECTS, read_photographs
from scenes.questions import KINDS
from training.processes import start_process
from training.sources import Sources, source_flags

PHOTOGRAPH_QUESTIONS = (
    "What is in the image?",
    "Describe the image.",
    "Is there a cat?",
    "Is there a rocket?",
)


class Results:
    """Counts of one split."""

    def __init__(self) -> None:
        self.right: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.mentions: Counter[str] = Counter()
        self.inventions: Counter[str] = Counter()
        self.replies: list[dict] = []

    def add(self, sheet: Sheet, replies: list[str]) -> None:
        for question, reply in zip(sheet.questions, replies, strict=True):
            verdict = judge(question, reply)
            self.asked[question.kind] += 1
            self.right[question.kind] += verdict.right
            self.mentions[question.kind] += verdict.mentioned.total()
            self.inventions[question.kind] += verdict.invented.total()
            self.replies.append(
                {
                    "scene": sheet.index,
                    "kind": question.kind,
                    "question": question.text,
                    "answer": question.answer,
                    "reply": reply,
                    "right": verdict.right,
                }
            )

    def summary(self) -> dict[str, dict[str, float]]:
        rows = {}
        for kind in sorted(self.asked):
            rows[kind] = {"asked": self.asked[kind], "right": self.right[kind] / self.asked[kind]}
            if self.mentions[kind]:
                rows[kind]["chair_i"] = self.inventions[kind] / self.mentions[kind]
        return rows


def examine(answerer: Answerer, split: Split, sources: Sources, per_kind: int, kinds: list[str]) -> Results:
    results = Results()
    for sheet in sheets(split, sources.scene_maker(split.held_out_drawings), per_kind, kinds):
        replies = answerer.answer(sheet.scene.picture, [question.text for question in sheet.questions])
        results.add(sheet, replies)
        if sheet.index % 20 == 0:
            print(
                f"{split.name}: scene {sheet.index}, {results.asked.total()} questions",
                file=sys.stderr,
                flush=True,
            )
    return results


def print_table(summaries: dict[str, dict[str, dict[str, float]]]) -> None:
    kinds = sorted({kind for summary in summaries.values() for kind in summary})
    print("| right | " + " | ".join(summaries) + " |")
    print("|---" * (len(summaries) + 1) + "|")
    for kind in kinds:
        cells = [_cell(summary.get(kind)) for summary in summaries.values()]
        print(f"| {kind} | " + " | ".join(cells) + " |")


def _cell(row: dict[str, float] | None) -> str:
    if row is None:
        return ""
    invented = f", invented {row['chair_i']:.1%}" if "chair_i" in row else ""
    return f"{row['right']:.1%} of {row['asked']:.0f}{invented}"


def show_photographs(answerer: Answerer, packages: Path) -> dict[str, dict[str, str]]:
    """Prints replies without judging them: the model has never seen a photograph's subject."""
    replies = {}
    for name, picture in zip(SUBJECTS, read_photographs(SUBJECTS, packages), strict=True):
        said = answerer.answer(picture, list(PHOTOGRAPH_QUESTIONS))
        replies[name] = dict(zip(PHOTOGRAPH_QUESTIONS, said, strict=True))
        print(f"\n{name}")
        for question, reply in replies[name].items():
            print(f"  {question} {reply}")
    return replies


def main() -> int:
    splits = "; ".join(f"{split.name} ({split.about})" for split in SPLITS.values())
    parser = argparse.ArgumentParser(
        description=__doc__.format(splits=splits),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[server_flags(), source_flags()],
    )
    parser.add_argument(
        "--var",
        default="off",
        metavar="FLAGS",
        help='VAR as the client takes it, such as "on --rho 0.5" (default: %(default)s)',
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="what build.py wrote, for transformers to run")
    parser.add_argument("--split", choices=[*SPLITS, "all"], default="all", help="default: %(default)s")
    parser.add_argument("--per-kind", type=int, default=200, help="questions of each kind (default: %(default)s)")
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=KINDS,
        default=list(KINDS),
        metavar="KIND",
        help=f"of {', '.join(KINDS)} (default: all)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every question and reply")
    args = parser.parse_args()

    start_process()
    sources = Sources(args.packages, args.cache)
    answerer: Answerer
    if args.model:
        answerer = TransformersAnswerer(args.model)
    else:
        answerer = ServerAnswerer(args.address, ["--var", *args.var.split()], args.client)
    chosen = list(SPLITS.values()) if args.split == "all" else [SPLITS[args.split]]
    try:
        results = {split.name: examine(answerer, split, sources, args.per_kind, args.kinds) for split in chosen}
        summaries = {name: result.summary() for name, result in results.items()}
        print_table(summaries)
        report = {"summary": summaries, "replies": {name: result.replies for name, result in results.items()}}
        report["photographs"] = show_photographs(answerer, args.packages)
    except ServerError as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return 1
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
