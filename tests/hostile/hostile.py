"""What one caller does to the server and to another caller: each case of cases.py against the real server.

Run it as ./dev soak hostile. Writes docs/evidence/hostile.json and hostile.md, case by case; the figures of the first
commit measured stay in them as "before". --short does less of each in two minutes, writes nothing, and fails where a
case costs more than its limits.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import tiny_llama
from cases import CASES, FOUND, HONEST, HOSTILE, SHORT, Case, Size
from harness import MIB, ROOT, Bystander, Caller, Memory, alone, machine, memory_bytes, serving

EVIDENCE = ROOT / "docs" / "evidence"
BACK = 1.2  # times the memory before counts as back


@dataclasses.dataclass
class Result:
    outcome: str
    seconds: float  # of the attack
    before_mib: float  # resident memory
    peak_mib: float
    after_mib: float  # within a minute
    alone_seconds: float | None = None  # the bystander's question with nobody else, median
    worst_seconds: float | None = None  # during the attack
    lost: int = 0  # of the bystander's questions

    def problems(self, case: Case) -> list[str]:
        limits, found = case.limits, []
        if self.seconds > limits.seconds:
            found.append(f"took {self.seconds:.1f} s, over {limits.seconds}")
        if (self.peak_mib - self.before_mib) * MIB > limits.grown:
            found.append(f"took {self.peak_mib - self.before_mib:.0f} MiB, over {limits.grown / MIB:.0f}")
        if (self.worst_seconds or 0) > limits.bystander:
            found.append(f"held up a question for {self.worst_seconds:.1f} s, over {limits.bystander}")
        if self.after_mib > BACK * self.before_mib:
            found.append(f"a minute later has {self.after_mib:.0f} MiB, before {self.before_mib:.0f}")
        if self.lost:
            found.append(f"lost {self.lost} questions of another caller")
        return found


def resting(pid: int, before: int, patience: float) -> int:
    """Resident memory once it is back at what it was, or after so many seconds."""
    end = time.monotonic() + patience
    while (now := memory_bytes(pid)) > BACK * before and time.monotonic() < end:
        time.sleep(0.5)
    return now


def run(case: Case, build: str, models: dict[str, str], tokens: pathlib.Path, size: Size, patience: float) -> Result:
    flags = [f"--token_file={tokens}"] if case.tokens else []
    with serving(build, models[case.model], *flags, piped=case.piped) as server:
        caller = Caller(server.address, HONEST if case.tokens else "")
        usual = alone(caller) if case.bystander else None
        memory = Memory(server.process.pid)
        bystander = Bystander(caller) if case.bystander else None
        start = time.monotonic()
        outcome = case.attack(server, size)
        seconds = time.monotonic() - start
        if bystander:
            bystander.stop()
        memory.stop()
        after = resting(server.process.pid, memory.before, patience)
        result = Result(outcome, seconds, memory.before / MIB, memory.peak / MIB, after / MIB)
        if bystander:
            result.alone_seconds, result.worst_seconds, result.lost = usual, bystander.worst, len(bystander.failures)
        return result


def row(title: str, when: str, result: Result) -> str:
    beside = (
        ""
        if result.worst_seconds is None
        else f"{result.alone_seconds:.2f} s alone, {result.worst_seconds:.2f} s at worst, {result.lost} lost"
    )
    memory = f"{result.before_mib:.0f}, {result.peak_mib:.0f}, {result.after_mib:.0f}"
    return f"| {title} | {when} | {result.outcome} | {result.seconds:.1f} | {memory} | {beside} |"


def write_evidence(commit: str, results: dict[str, Result]) -> None:
    path = EVIDENCE / "hostile.json"
    runs = json.loads(path.read_text()) if path.exists() else {}
    first = next(iter(runs), commit)
    measured = runs.get(commit, {}) | {name: dataclasses.asdict(result) for name, result in results.items()}
    runs = {first: runs.get(first), commit: measured}
    path.write_text(json.dumps(runs, indent=1) + "\n")
    lines = [
        "# Hostile callers",
        "",
        f"`./dev soak hostile` on {machine()}. Rows of {first} were measured before the protections existed.",
        "Every case runs against a fresh server with the embedded model. Memory is resident memory in MiB: before, at",
        "the peak, and within a minute after. The *other caller* asks a short question about a picture repeatedly",
        "during the attack; its column has the time per question.",
        "",
        "| case | commit | result | seconds | memory | other caller |",
        "|---|---|---|---|---|---|",
    ]
    for name, case in CASES.items():
        for at, figures in runs.items():
            if name in (figures or {}):
                lines.append(row(case.title, at, Result(**figures[name])))
    (EVIDENCE / "hostile.md").write_text("\n".join([*lines, ""]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--embedded", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--commit", help=argparse.SUPPRESS)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--no-limits", action="store_true", help="only measure")
    parser.add_argument("case", nargs="*", choices=[[], *CASES], help="default: all of them")
    args = parser.parse_args()
    commit = (
        args.commit
        or subprocess.run(
            ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip()
    )
    failed = False
    with tempfile.TemporaryDirectory(prefix="varserve_hostile_") as folder:
        tokens = pathlib.Path(folder, "tokens")
        tokens.write_text(f"{HONEST}\n{HOSTILE}\n")
        tiny_llama.write(pathlib.Path(folder, "tiny_llama"))
        models = {"embedded": args.embedded, "tiny_llama": f"{folder}/tiny_llama"}
        for name in args.case or CASES:
            case = CASES[name]
            result = run(case, args.build, models, tokens, SHORT if args.short else FOUND, patience=60)
            if not args.short:
                write_evidence(commit, {name: result})
            print(row(case.title, commit, result), flush=True)
            problems = [] if args.no_limits else result.problems(case)
            for problem in problems:
                print(f"{name}: {problem}", file=sys.stderr, flush=True)
            failed |= bool(problems)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
