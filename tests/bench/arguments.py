"""The command line that benchmarks have in common."""

import argparse
import os


def bench_parser(description: str) -> argparse.ArgumentParser:
    """Of a benchmark that ./dev bench starts with the build folder and the embedded model."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", help=argparse.SUPPRESS)
    parser.add_argument("--embedded", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: %(default)s")
    return parser
