"""What each intervention costs beside OFF: time of a prefill-heavy question (about a picture that nobody asked about
before, few tokens), and of a decode step while eight requests run, all with it. Runs with and without alternate.

Run it as ./dev bench interventions: ten minutes for the embedded model.
"""

import argparse
import json
import os
import pathlib
import statistics
import threading
import time

from google.protobuf import json_format

from model import QUESTION
from var import BATCH, picture
from varserve_client import Server, pb, server

# Interventions as the API has them, by the name under which they are printed.
METHODS = {
    "var": {"var": {"mode": "VAR_MODE_ON"}},
    "pai": {"pai": {}},
    "vaf": {"vaf": {}},
    "spin": {"spin": {}},
    "vcd": {"vcd": {}},
    "icd": {"icd": {}},
    "m3id": {"m3id": {}},
    "pai,gamma=1.1": {"pai": {"gamma": 1.1}},
    "var+vcd": {"var": {"mode": "VAR_MODE_ON"}, "vcd": {}},
}
OFF = {"var": {"mode": "VAR_MODE_OFF"}}
FEW_TOKENS = 4


class Stream(threading.Thread):
    """One request; when its tokens came, and its last message."""

    def __init__(self, running: Server, image: bytes, tokens: int, intervention: dict) -> None:
        super().__init__()
        request = pb.AnswerRequest(
            images=[pb.Image(data=image)],
            question=QUESTION,
            options=pb.GenerateOptions(max_tokens=tokens, ignore_eos=True),
        )
        json_format.ParseDict(intervention, request.intervention)
        self._call = running.stub.Answer(request)
        self.times: list[float] = []  # one per token
        self.finished: pb.Finished | None = None
        self.start()

    def run(self) -> None:
        for response in self._call:
            if response.WhichOneof("event") == "delta":
                self.times += [time.monotonic()] * len(response.delta.token_ids)
            elif response.WhichOneof("event") == "finished":
                self.finished = response.finished


def question_seconds(running: Server, number: int, intervention: dict) -> float:
    stream = Stream(running, picture(number), FEW_TOKENS, intervention)
    stream.join()
    return stream.finished.timing.total_seconds


def step_seconds(running: Server, tokens: int, intervention: dict) -> float:
    """Time of a step while all of them decode; they share a picture."""
    streams = [Stream(running, picture(0), tokens, intervention) for _ in range(BATCH)]
    for stream in streams:
        stream.join()
    begin, end = max(s.times[0] for s in streams), min(s.times[-1] for s in streams)
    steps = [sum(begin < t <= end for t in s.times) for s in streams]
    if min(steps) < tokens // 3:
        raise RuntimeError("the streams did not run together; give more --tokens")
    return (end - begin) / statistics.mean(steps)


def measure(running: Server, rounds: int, tokens: int, first_picture: int, intervention: dict) -> dict[str, float]:
    """Medians, in seconds, and their ratios."""
    seconds: dict[str, list[float]] = {"question off": [], "question": [], "step off": [], "step": []}
    step_seconds(running, tokens, intervention)  # the siblings' prefixes, too
    for round_ in range(rounds):
        for on in (False, True) if round_ % 2 else (True, False):
            setting, name = (intervention, "") if on else (OFF, " off")
            seconds["question" + name].append(question_seconds(running, first_picture + 2 * round_ + on, setting))
            seconds["step" + name].append(step_seconds(running, tokens, setting))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return medians | {f"{name} ratio": medians[name] / medians[f"{name} off"] for name in ("question", "step")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", help=argparse.SUPPRESS)
    parser.add_argument("--embedded", help=argparse.SUPPRESS)
    parser.add_argument("--model", metavar="DIR", help="another model than the embedded one")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: %(default)s")
    parser.add_argument("--tokens", type=int, default=48, help="of an answer in a batch (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs, off and on (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    args = parser.parse_args()
    flags = ("--threads", str(args.threads), "--max_running", str(2 * BATCH))
    results = {}
    print(f"{'milliseconds':16}{'question: off':>14}{'on':>9}{'ratio':>8}{'step: off':>12}{'on':>9}{'ratio':>8}")
    with server(args.build, args.model or args.embedded, *flags) as running:
        for i, name in enumerate(args.methods):
            n = measure(running, args.rounds, args.tokens, 1 + 2 * args.rounds * i, METHODS[name])
            print(
                f"{name:16}{1000 * n['question off']:14.1f}{1000 * n['question']:9.1f}{n['question ratio']:8.2f}"
                f"{1000 * n['step off']:12.2f}{1000 * n['step']:9.2f}{n['step ratio']:8.2f}",
                flush=True,
            )
            results[name] = n
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
