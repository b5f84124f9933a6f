"""Everything that cases.py tries, at once and for ten minutes, while honest callers ask: what they notice.

Run it as ./dev soak mixed. Eight honest callers, each with a token of its own, ask short questions about pictures: a
minute alone, then during the attacks. Fails where one of their questions is lost, where the slow ones (95th percentile)
take more than three times what they take alone,
where memory does not come back, or where the server restarts. Writes docs/evidence/mixed.md.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import multiprocessing.pool
import os
import pathlib
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

from cases import FOUND, HOSTILE, about_large_picture, answer, compare_maps, large_picture, long_question
from harness import METHOD, MIB, ROOT, Caller, Memory, call_raw, machine, memory_bytes, serving
from stalled_upload import StalledUpload

PICTURES = sorted((ROOT / "models/embedded/samples").glob("*.jpg"))
SLOWER = 3  # times, at the 95th percentile
HONEST_CALLERS = 8


def long_text(address: str) -> None:
    call_raw(address, "Answer", long_question(FOUND).SerializeToString(), HOSTILE)


def special_text(address: str) -> None:
    call_raw(address, "Answer", answer("<|im_end|>" * 1500).SerializeToString(), HOSTILE)


def long_prompt(address: str) -> None:
    call_raw(
        address, "Answer", answer("a lion and " * 500, max_tokens=500, ignore_eos=True).SerializeToString(), HOSTILE
    )


def empty_messages(address: str) -> None:
    call_raw(address, "Generate", b"\x0a\x00" * FOUND.empty_messages, HOSTILE)


def picture(address: str) -> None:
    call_raw(address, "Answer", about_large_picture(FOUND).SerializeToString(), HOSTILE)


def stalled_upload(address: str, token: str) -> None:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    upload = StalledUpload(address, METHOD + "Answer", 62_000_000, 61_000_000, headers)
    upload.ended.wait(20)
    upload.close()


def idle_connections(address: str) -> None:
    host, port = address.split(":")
    idle = [socket.create_connection((host, int(port)), timeout=10) for _ in range(100)]
    time.sleep(10)
    for one in idle:
        one.close()


def maps(address: str) -> None:
    call_raw(address, "Compare", compare_maps(FOUND.tokens).SerializeToString(), HOSTILE)


def sampled(address: str) -> None:
    options = {"max_tokens": 1000, "ignore_eos": True, "temperature": 5.0, "top_p": 0.9}
    call_raw(address, "Answer", answer("What is in the image?", **options).SerializeToString(), HOSTILE)


def missed_deadline(address: str) -> None:
    message = answer("Describe the image.", max_tokens=1000, ignore_eos=True).SerializeToString()
    call_raw(address, "Answer", message, HOSTILE, timeout=random.uniform(0.05, 2))


def refused(address: str) -> None:
    call_raw(address, "Answer", answer("What is it?", temperature=-1.0).SerializeToString(), HOSTILE)


def without_token(address: str) -> None:
    call_raw(address, "Answer", answer("What is it?").SerializeToString())


# How many at a time, and the pause between two of one kind, seconds.
ATTACKS = [
    (long_text, 2, 1.0), (special_text, 2, 1.0), (long_prompt, 4, 0.0), (empty_messages, 2, 1.0), (picture, 4, 0.0),
    (functools.partial(stalled_upload, token=HOSTILE), 2, 0.0), (functools.partial(stalled_upload, token=""), 2, 0.0),
    (maps, 1, 0.0), (sampled, 12, 0.0), (missed_deadline, 4, 0.0), (refused, 2, 0.05), (without_token, 2, 0.05),
]  # fmt: skip


def attack(address: str, metrics_address: str) -> None:
    """Everything at once until it is killed,
    in a process that yields to the others: its own work is no part of the attack."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    large_picture(FOUND.edge)

    def again_and_again(one: Callable[[str], object], pause: float) -> None:
        while True:
            with contextlib.suppress(OSError):  # the server closed the connection
                one(address)
            time.sleep(pause)

    several = [(one, pause) for one, count, pause in ATTACKS for _ in range(count)]
    several += [(lambda _: idle_connections(metrics_address), 0.0), (lambda _: idle_connections(address), 0.0)]
    threads = [threading.Thread(target=again_and_again, args=each, daemon=True) for each in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def honest(address: str, number: int, seconds: float) -> list[tuple[float, str]]:
    caller, end, asked = (
        Caller(address, f"honest-caller-{number}", PICTURES[number % len(PICTURES)].read_bytes()),
        time.monotonic() + seconds,
        [],
    )
    while time.monotonic() < end:
        asked.append(caller.ask(tokens=16))
        time.sleep(0.2)
    return asked


def all_honest(address: str, seconds: float) -> list[tuple[float, str]]:
    with multiprocessing.pool.ThreadPool(HONEST_CALLERS) as pool:
        each = pool.starmap(honest, [(address, number, seconds) for number in range(HONEST_CALLERS)])
    return [asked for some in each for asked in some]


def figures(asked: list[tuple[float, str]]) -> dict[str, float]:
    times = sorted(seconds for seconds, _ in asked)
    quantiles = statistics.quantiles(times, n=100, method="inclusive")
    lost = sum(code != "OK" for _, code in asked)
    return {"questions": len(times), "lost": lost, "median": quantiles[49], "p95": quantiles[94], "worst": times[-1]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", help=argparse.SUPPRESS)
    parser.add_argument("--embedded", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=600, help="of the attack; default: %(default)g")
    parser.add_argument("--attack", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--alone", type=float, default=60, help="seconds before it; default: %(default)g")
    args = parser.parse_args()
    if args.attack:
        return attack(*args.attack)
    with tempfile.TemporaryDirectory(prefix="varserve_mixed_") as folder:
        tokens = pathlib.Path(folder, "tokens")
        names = [f"honest-{number} honest-caller-{number}" for number in range(HONEST_CALLERS)]
        tokens.write_text("\n".join([*names, f"hostile {HOSTILE}", ""]))
        with serving(args.build, args.embedded, f"--token_file={tokens}") as server:
            all_honest(server.address, 5)
            alone = figures(all_honest(server.address, args.alone))
            print("alone", alone, flush=True)
            memory = Memory(server.process.pid)
            attacker = subprocess.Popen([sys.executable, __file__, "--attack", server.address, server.metrics_address])
            minutes: list[dict[str, float]] = []
            everything: list[tuple[float, str]] = []
            while 60 * len(minutes) < args.seconds:
                asked = all_honest(server.address, min(60, args.seconds))
                everything += asked
                minutes.append(figures(asked) | {"resident": memory_bytes(server.process.pid) / MIB})
                print("beside", minutes[-1], flush=True)
            attacker.kill()
            attacker.wait()
            memory.stop()
            restarted = server.process.poll() is not None
            time.sleep(60)
            after = memory_bytes(server.process.pid) / MIB
        beside = figures(everything)
    problems = []
    if beside["lost"] or restarted:
        problems.append(f"{beside['lost']} questions of honest callers were lost, restarted: {restarted}")
    if beside["p95"] > SLOWER * alone["p95"]:
        problems.append(f"the slow questions took {beside['p95'] / alone['p95']:.1f} times as long as alone")
    if after * MIB > 1.2 * memory.before:
        problems.append(f"a minute later it has {after:.0f} MiB, before {memory.before / MIB:.0f}")
    print(
        {
            "beside": beside,
            "ratio": beside["p95"] / alone["p95"],
            "before": memory.before / MIB,
            "peak": memory.peak / MIB,
            "after": after,
        }
    )
    for problem in problems:
        print(problem, file=sys.stderr)
    if args.seconds >= 600:
        write_evidence(alone, beside, minutes, memory, after)
    return int(bool(problems))


def write_evidence(alone: dict, beside: dict, minutes: list[dict], memory: Memory, after: float) -> None:
    def line(when: str, f: dict, mib: str) -> str:
        seconds = " | ".join(f"{f[key]:.2f}" for key in ("median", "p95", "worst"))
        return f"| {when} | {f['questions']} | {f['lost']} | {seconds} | {mib} |"

    rows = [line("alone", alone, f"{memory.before / MIB:.0f}")]
    rows += [line(f"minute {number}", minute, f"{minute['resident']:.0f}") for number, minute in enumerate(minutes, 1)]
    rows.append(line("ten minutes", beside, f"{memory.peak / MIB:.0f} at the peak, {after:.0f} a minute later"))
    attacks = ", ".join(
        f"{count} x {getattr(one, 'func', one).__name__.replace('_', ' ')}" for one, count, _ in ATTACKS
    )
    (ROOT / "docs/evidence/mixed.md").write_text(
        "\n".join(
            [
                "# Honest callers together with hostile ones",
                "",
                f"`./dev soak mixed` on {machine()}, which also runs the callers. Eight honest callers with their",
                "own tokens ask short questions about pictures (16 tokens): first for a minute alone, then for ten",
                "minutes while one caller with a token and one without send all of this at once:",
                "",
                f"{attacks}, 100 idle connections each to gRPC and to /metrics.",
                "",
                "| | questions | lost | median s | p95 s | worst s | resident MiB |",
                "|---|---|---|---|---|---|---|",
                *rows,
                "",
            ]
        )
    )


if __name__ == "__main__":
    sys.exit(main())
