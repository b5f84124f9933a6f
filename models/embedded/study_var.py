"""Ask a running server about held-out scenes under several VAR settings.

Prints the decoder layers in which visual tokens are sinks, how many of these lie on background, and the share of
correct answers under each setting. The server computes everything; sinks.py studies the same with its own
implementation.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from evaluate import Results, print_table
from evaluation.exam import SPLITS, Sheet, sheets
from evaluation.server_answerer import ServerAnswerer, ServerError, server_flags
from scenes.scene import Scene
from training.processes import start_process
from training.sources import Sources, source_flags

SETTINGS = {
    "off": ["--var", "off"],
    "paper, rho 0.9": ["--var", "on", "--rho", "0.9"],
    "paper, rho 0.8": ["--var", "on", "--rho", "0.8"],
    "paper, rho 0.5": ["--var", "on", "--rho", "0.5"],
    "paper, rho 0": ["--var", "on", "--rho", "0"],
    "authors' code, rho 0.5": ["--var", "on", "--variant", "authors-code", "--rho", "0.5"],
    "authors' code, rho 0.2": ["--var", "on", "--variant", "authors-code", "--rho", "0.2"],
}


class SinkCounts:
    """Sinks of the plain model, by layer."""

    def __init__(self) -> None:
        self.scenes = 0
        self.layers: Counter[int] = Counter()  # visual sinks
        self.text: Counter[int] = Counter()
        self.visual_attention: Counter[int] = Counter()
        self.sinks = self.sinks_on_background = self.tokens = self.tokens_on_background = 0

    def add(self, scene: Scene, report: dict) -> None:
        self.scenes += 1
        for layer in report["layers"]:
            self.layers[layer["layer"]] += layer["visual_sink_tokens"]
            self.text[layer["layer"]] += layer["text_sink_tokens"]
            self.visual_attention[layer["layer"]] += layer["visual_attention_before"]
        grid = report["maps"][0]["rows"]
        edges = np.linspace(0, len(scene.owner), grid + 1).round().astype(int)[:-1]
        covered = np.add.reduceat(np.add.reduceat(scene.owner >= 0, edges, axis=0), edges, axis=1)
        background = covered == 0  # [rows, columns]: no object covers the patch
        self.tokens += background.size
        self.tokens_on_background += int(background.sum())
        for sink in report["visual_sinks"]:
            self.sinks += 1
            self.sinks_on_background += int(background[sink["row"], sink["column"]])

    def print(self) -> None:
        print("| layer | visual sinks | text sinks | attention on the picture |\n|---|---|---|---|")
        for layer in sorted(self.layers):
            counts = (self.layers, self.text, self.visual_attention)
            visual, text, attention = (count[layer] / self.scenes for count in counts)
            print(f"| {layer} | {visual:.1f} | {text:.1f} | {attention:.0%} |")
        print(
            f"{self.sinks} visual tokens of {self.scenes} scenes are a sink in some layer, "
            f"{self.sinks_on_background / max(self.sinks, 1):.1%} of them on background; "
            f"{self.tokens_on_background / max(self.tokens, 1):.1%} of all visual tokens are"
        )


def observe(address: str, client: Path, papers: list[Sheet]) -> SinkCounts:
    answerer = ServerAnswerer(address, ["--var", "observe", "--detail", "maps", "--max-tokens", "48"], client)
    counts = SinkCounts()
    for sheet in papers:
        answerer.answer(sheet.scene.picture, ["Describe the image in detail."])
        counts.add(sheet.scene, answerer.reports[0])
    return counts


def ask(address: str, client: Path, var: list[str], papers: list[Sheet]) -> tuple[Results, dict[str, float]]:
    """The results, and what VAR did as means over replies."""
    answerer = ServerAnswerer(address, var, client)
    results, did = Results(), Counter()
    replies = 0
    for sheet in papers:
        results.add(sheet, answerer.answer(sheet.scene.picture, [question.text for question in sheet.questions]))
        for report in answerer.reports:
            replies += 1
            for key in ("image_centric_head_ratio", "redistributed_attention"):
                did[key] += report[key]
    return results, {key: value / replies for key, value in did.items()}


def compare(args: argparse.Namespace, split: str, papers: list[Sheet]) -> dict[str, dict]:
    summaries, compared, plain = {}, {}, []
    for name, var in SETTINGS.items():
        results, did = ask(args.address, args.client, var, papers)
        summaries[name] = results.summary()
        replies = [reply["reply"] for reply in results.replies]
        plain = plain or replies
        changed = sum(a != b for a, b in zip(plain, replies, strict=True)) / len(replies)
        right = results.right.total() / results.asked.total()
        compared[name] = {"right": right, "changed": changed, **did, "kinds": summaries[name]}
        print(
            f"{split}, {name}: {right:.1%} of {len(replies)} right, {changed:.1%} of replies differ from off"
            + "".join(f", {key} {value:.4f}" for key, value in did.items()),
            flush=True,
        )
    print_table(summaries)
    return compared


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[server_flags(), source_flags()],
    )
    parser.add_argument("--scenes", type=int, default=30, help="to find sinks in (default: %(default)s)")
    parser.add_argument("--per-kind", type=int, default=20, help="questions of each kind (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    args = parser.parse_args()

    start_process()
    sources = Sources(args.packages, args.cache)
    report = {}
    try:
        for name in ("test", "hard"):
            split = SPLITS[name]
            papers = list(sheets(split, sources.scene_maker(split.held_out_drawings), args.per_kind))
            counts = observe(args.address, args.client, papers[: args.scenes])
            print(f"\n{name}:")
            counts.print()
            report[name] = {"sinks": vars(counts), "settings": compare(args, name, papers)}
    except ServerError as error:
        print(f"study_var.py: {error}", file=sys.stderr)
        return 1
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
