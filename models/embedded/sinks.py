"""Study the attention sinks of a model built by build.py, and the effect of VAR on its answers.

 1. phi of every token by layer, on held-out scenes: which tokens are sinks, whether they lie on background,
    whether they stay from layer to layer, how much attention they get. Drawn as a figure.
 2. Answers with the visual sinks masked, compared with masking as many random other visual tokens.
 3. Answers under VAR, with and without the head test.

VAR is computed here by a slow implementation in Python, which also serves to check the server's.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch

from evaluation.exam import SPLITS, Sheet, sheets
from evaluation.scoring import judge
from evaluation.var_answerer import VarAnswerer
from evaluation.var_reference import Setting, Shares, Treatment
from scenes.captions import CAPTION_PROMPTS
from scenes.scene import Difficulty, Scene, SceneMaker
from training.processes import start_process
from training.sources import Sources, source_flags

matplotlib.use("Agg")
from matplotlib import pyplot

SETTINGS = {
    "plain": Setting(Treatment.OBSERVE),
    "visual sinks masked": Setting(Treatment.MASK_SINKS),
    "random visual tokens masked": Setting(Treatment.MASK_RANDOM),
    "VAR, rho 0.5": Setting(Treatment.REDISTRIBUTE, rho=0.5),
    "VAR, rho 0.8": Setting(Treatment.REDISTRIBUTE, rho=0.8),
    "VAR, rho 0.9": Setting(Treatment.REDISTRIBUTE, rho=0.9),
    "VAR in all heads": Setting(Treatment.REDISTRIBUTE_ALL_HEADS),
}


@dataclass(frozen=True)
class Observation:
    """One captioned scene."""

    phi: np.ndarray  # [L, Tk]
    num_visual: int
    background: np.ndarray  # [P] bool: no object covers the patch


def observe(answerer: VarAnswerer, scene: Scene) -> Observation:
    num_visual = answerer.begin(scene.picture)
    answerer.reply(CAPTION_PROMPTS["medium"])
    phi = torch.stack(answerer.decoder.phi).numpy()
    grid = round(num_visual**0.5)
    edges = np.linspace(0, len(scene.owner), grid + 1).round().astype(int)
    covered = np.add.reduceat(np.add.reduceat(scene.owner >= 0, edges[:-1], axis=0), edges[:-1], axis=1)
    return Observation(phi, num_visual, (covered == 0).flatten())


def describe_sinks(observations: list[Observation], shares: list[Shares], tau: float) -> list[dict[str, float]]:
    """One row per layer, means over scenes."""
    rows = []
    for layer, share in enumerate(shares):
        visual = [seen.phi[layer, : seen.num_visual] for seen in observations]
        text = [seen.phi[layer, seen.num_visual :] for seen in observations]
        sinks = [phi >= tau for phi in visual]
        on_background = sum((sink & seen.background).sum() for sink, seen in zip(sinks, observations, strict=True))
        total = sum(sink.sum() for sink in sinks)
        rows.append(
            {
                "layer": layer,
                "visual_sinks": total / len(observations),
                "on_background": on_background / total if total else float("nan"),
                "smallest_sink_phi": min(
                    (phi[sink].min() for phi, sink in zip(visual, sinks, strict=True) if sink.any()),
                    default=0,
                ),
                "largest_other_phi": max(phi[~sink].max() for phi, sink in zip(visual, sinks, strict=True)),
                "first_text_phi": np.mean([phi[0] for phi in text]),
                "largest_other_text_phi": max(phi[1:].max() for phi in text),
                "attention_on_visual": share.visual / share.rows,
                "attention_on_visual_sinks": share.visual_sinks / share.rows,
                "attention_on_text_sinks": share.text_sinks / share.rows,
                "image_centric_heads": share.image_centric / share.rows,
            }
        )
    return [{key: float(value) for key, value in row.items()} for row in rows]


def same_places(observations: list[Observation], tau: float, first: int, last: int) -> float:
    """Mean overlap (intersection over union) of the visual sinks of consecutive layers."""
    overlaps = []
    for seen in observations:
        sinks = seen.phi[:, : seen.num_visual] >= tau
        for layer in range(first, last):
            both, either = (sinks[layer] & sinks[layer + 1]).sum(), (sinks[layer] | sinks[layer + 1]).sum()
            if either:
                overlaps.append(both / either)
    return float(np.mean(overlaps))


def draw(observations: list[Observation], tau: float, path: Path) -> None:
    """phi of every token by layer."""
    layers = len(observations[0].phi)
    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    jitter = np.random.default_rng(0)
    for label, color, size, select in (
        ("visual tokens", "tab:blue", 1, lambda seen: seen.phi[:, : seen.num_visual]),
        ("other text tokens", "tab:gray", 2, lambda seen: seen.phi[:, seen.num_visual + 1 :]),
        ("first text token", "tab:red", 6, lambda seen: seen.phi[:, seen.num_visual : seen.num_visual + 1]),
    ):
        phi = np.concatenate([select(seen) for seen in observations[:10]], axis=1)  # [L, tokens]
        x = np.arange(layers)[:, None] + jitter.uniform(-0.3, 0.3, phi.shape)
        axes.scatter(x, phi, s=size, c=color, label=label, alpha=0.5, linewidths=0, rasterized=True)
    axes.axhline(tau, color="black", linewidth=0.8, linestyle="--", label=f"tau = {tau:g}")
    axes.set(xlabel="decoder layer", ylabel="phi at the layer's input", xlim=(-0.7, layers - 0.3))
    figure.legend(loc="outside lower center", ncols=4, markerscale=3, frameon=False)
    figure.savefig(path, dpi=110)


def compare(answerer: VarAnswerer, papers: list[Sheet], settings: list[str]) -> dict[str, dict[str, float]]:
    """Share of correct answers under each of the settings, on the same questions."""
    table = {}
    for name in settings:
        answerer.set(SETTINGS[name])
        right = asked = mentioned = invented = 0
        for sheet in papers:
            replies = answerer.answer(sheet.scene.picture, [question.text for question in sheet.questions])
            for question, reply in zip(sheet.questions, replies, strict=True):
                verdict = judge(question, reply)
                asked += 1
                right += verdict.right
                mentioned += verdict.mentioned.total()
                invented += verdict.invented.total()
        changed = answerer.shares[:-1]  # the last layer is left unchanged
        rows = sum(share.rows for share in changed)
        table[name] = {
            "asked": asked,
            "right": right / asked,
            "chair_i": invented / mentioned if mentioned else 0.0,
            "image_centric": sum(share.image_centric for share in changed) / rows,
            "moved": sum(share.moved for share in changed) / rows,
        }
        print(f"  {name}: {table[name]}", flush=True)
    return table


def observe_all(answerer: VarAnswerer, maker: SceneMaker, number: int) -> list[Observation]:
    answerer.set(SETTINGS["plain"])
    return [observe(answerer, maker.make("sinks", index, Difficulty.NORMAL)) for index in range(number)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[source_flags()]
    )
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="what build.py wrote")
    parser.add_argument("--sink-dimensions", type=int, nargs="+", default=[507], metavar="D", help="default: 507")
    parser.add_argument("--scenes", type=int, default=30, help="to observe (default: %(default)s)")
    parser.add_argument("--per-kind", type=int, default=20, help="questions to compare by (default: %(default)s)")
    parser.add_argument(
        "--compare",
        nargs="*",
        choices=SETTINGS,
        default=list(SETTINGS),
        metavar="SETTING",
        help=f"of {', '.join(SETTINGS)} (default: all)",
    )
    parser.add_argument("--stable-layers", type=int, nargs=2, default=(12, 28), help="for the overlap of sinks")
    parser.add_argument("--figure", type=Path, metavar="PNG")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    args = parser.parse_args()

    start_process()
    sources = Sources(args.packages, args.cache)
    answerer = VarAnswerer(args.model, args.sink_dimensions)
    maker = sources.scene_maker()
    tau = Setting.tau

    observations = observe_all(answerer, maker, args.scenes)
    layers = describe_sinks(observations, answerer.shares, tau)
    print("| " + " | ".join(layers[0]) + " |\n" + "|---" * len(layers[0]) + "|")
    for row in layers:
        print("| " + " | ".join(f"{value:.3g}" for value in row.values()) + " |")
    background = float(np.mean([seen.background.mean() for seen in observations]))
    overlap = same_places(observations, tau, *args.stable_layers)
    print(f"background patches: {background:.1%}; overlap of one layer's visual sinks with the next's: {overlap:.2f}")
    if args.figure:
        draw(observations, tau, args.figure)

    comparisons = {}
    for name in ("test", "hard"):
        print(f"{name}:")
        comparisons[name] = compare(answerer, list(sheets(SPLITS[name], maker, args.per_kind)), args.compare)
    if args.json:
        settings = {
            name: asdict(setting) | {"treatment": setting.treatment.value} for name, setting in SETTINGS.items()
        }
        report = {
            "layers": layers,
            "background_patches": background,
            "overlap": overlap,
            "settings": settings,
            "comparisons": comparisons,
        }
        args.json.write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
