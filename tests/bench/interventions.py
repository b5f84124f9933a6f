"""What each intervention costs, compared with OFF: time of a prefill-heavy question (about a picture that nobody asked
about before, few tokens), and of a decode step while eight requests run, all with it. Runs with and without alternate.

Run it as ./dev bench interventions: ten minutes for the embedded model.
"""

import json
import pathlib
import statistics
import sys

from varserve import Icd, Intervention, M3id, Pai, Spin, Vaf, Var, Vcd

from arguments import bench_parser
from model import QUESTION
from var import BATCH, batch_step_seconds, picture
from varserve_client import Server, server

sys.path.append(str(pathlib.Path(__file__).resolve().parent / "peers"))
import peer_models

# By the name under which they are printed.
METHODS: dict[str, Var | Intervention] = {
    "var": Var.on(),
    "pai": Pai(),
    "vaf": Vaf(),
    "spin": Spin(),
    "vcd": Vcd(),
    "icd": Icd(),
    "m3id": M3id(),
    "pai,gamma=1.1": Pai(gamma=1.1),
    "var+vcd": Vcd(attention=Var.on()),
    "var+icd": Icd(attention=Var.on()),
    "var+m3id": M3id(attention=Var.on()),
    "pai+vcd": Vcd(attention=Pai()),
}
FEW_TOKENS = 4


def question_seconds(running: Server, number: int, setting: Var | Intervention) -> float:
    return running.answer(picture(number), QUESTION, FEW_TOKENS, setting).reply.timing.total_seconds


def measure(
    running: Server, rounds: int, tokens: int, first_picture: int, intervention: Var | Intervention
) -> dict[str, float]:
    """Medians, in seconds, and their ratios."""
    seconds: dict[str, list[float]] = {"question off": [], "question": [], "step off": [], "step": []}
    batch_step_seconds(running, tokens, [intervention] * BATCH)  # the siblings' prefixes, too
    for round_ in range(rounds):
        for on in (False, True) if round_ % 2 else (True, False):
            setting, name = (intervention, "") if on else (Var.off(), " off")
            seconds["question" + name].append(question_seconds(running, first_picture + 2 * round_ + on, setting))
            seconds["step" + name].append(batch_step_seconds(running, tokens, [setting] * BATCH))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return medians | {f"{name} ratio": medians[name] / medians[f"{name} off"] for name in ("question", "step")}


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--model", metavar="DIR", help="another model than the embedded one")
    model.add_argument(
        "--one-billion", type=pathlib.Path, metavar="DIR", help="a LLaVA of 1.1 B with random weights, made in DIR once"
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--tokens", type=int, default=48, help="of an answer in a batch (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs, off and on (default: %(default)s)")
    args = parser.parse_args()
    flags = ("--threads", str(args.threads), "--max_running", str(2 * BATCH))
    directory = args.model or args.embedded
    if args.one_billion:
        directory = peer_models.llava(args.one_billion, args.embedded)
        flags += ("--sink_dimensions", "3,7")  # VAR needs some
    results = {}
    print(f"{'milliseconds':16}{'question: off':>14}{'on':>9}{'ratio':>8}{'step: off':>12}{'on':>9}{'ratio':>8}")
    with server(args.build, directory, *flags) as running:
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
