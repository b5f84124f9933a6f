"""Memory, load time, prefill and decode speed of one sequence with the decoder's weights in bfloat16, int8 and int4, in
one run.

Run it as ./dev bench quantized. The embedded model takes a minute; --larger adds a LLaVA of 1.7 B parameters with
random weights (22 layers of width 2048, a tower of CLIP-L/336; 3.3 GB of disk).
"""

import argparse
import pathlib

import model
import seven_billion
from arguments import bench_parser
from varserve_client import server

LARGER = seven_billion.Shape(layers=22, width=2048, inner=5632, heads=16)
COLUMNS = (
    ("load_seconds", "load, s", 1.0),
    ("peak_bytes", "peak memory, GB", 1e-9),
    ("prefill_tokens_per_second", "prefill, tok/s", 1.0),
    ("decode_tokens_per_second", "decode, tok/s", 1.0),
)


def measure(args: argparse.Namespace, directory: str, quantize: str, size: int) -> dict[str, float]:
    flags = ["--threads", str(args.threads), "--prefix_cache", "0", "--max_running", "1"]
    flags += ["--dtype", "bfloat16", "--quantize", quantize]
    with server(args.build, directory, *flags) as running:
        speeds = model.one_sequence(running, args.tokens, args.rounds, size)
        return {"load_seconds": running.load_seconds, "peak_bytes": running.peak_bytes(), **speeds}


def compare(args: argparse.Namespace, name: str, directory: str, size: int) -> None:
    print(f"\n{name}\n{'':18}" + "".join(f"{title:>18}" for _, title, _ in COLUMNS), flush=True)
    original: dict[str, float] = {}
    for quantize in ("none", "int8", "int4"):
        found = measure(args, directory, quantize, size)
        original = original or found
        cells = (f"{found[key] * scale:.2f} ({found[key] / original[key]:.2f})" for key, _, scale in COLUMNS)
        print(f"{'bfloat16' if quantize == 'none' else quantize:>18}" + "".join(f"{c:>18}" for c in cells), flush=True)


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("--larger", metavar="DIR", help="also measure a larger model; made at DIR if it is not there")
    parser.add_argument("--tokens", type=int, default=64, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    compare(args, "embedded model", args.embedded, 224)
    if args.larger:
        if not pathlib.Path(args.larger).exists():
            print("making the larger model", flush=True)
            seven_billion.make(args.embedded, args.larger, LARGER)
        compare(args, "LLaVA of 1.7 B, random weights", args.larger, 336)


if __name__ == "__main__":
    main()
