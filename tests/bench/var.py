"""What VAR costs: time of a decode step and of a prefill with VAR on over off, alone and in a batch of 8 of which half
have it on, and the time of the authors' way, rebuilt in transformers on the same weights.

Every head is made to redistribute (rho and the least visual attention are 0), which is the most work there can be. Runs
with VAR and without alternate. Alone, each request has a picture nobody asked about before; the eight of a batch share
a picture. Run it as ./dev bench var: five minutes for the embedded model; --seven-billion adds a LLaVA-1.5-7B with
random weights (14 GB of disk, 20 GB of memory, an hour on a CPU, half of it transformers').
"""

import argparse
import concurrent.futures
import functools
import io
import json
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Sequence

from PIL import Image
from varserve import Intervention, Var

from arguments import bench_parser
from model import QUESTION
from varserve_client import Answer, Server, server

HERE = pathlib.Path(__file__).resolve().parent
BATCH = 8


@functools.cache
def picture(number: int) -> bytes:
    """Something on a background: in pure noise, all visual tokens would be sinks, and no token could receive
    their attention. A corner of 16 x 16 pixels distinguishes the pictures."""
    image = Image.open(HERE.parents[1] / "models" / "embedded" / "samples" / "animals.jpg")
    image.paste((number % 16 * 16, number // 16 * 16, 0), (0, 0, 16, 16))
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def setting(on: bool, tau: float | None) -> Var:
    return Var.on(rho=0, min_visual_attention=0, tau=tau) if on else Var.off()


def batch_step_seconds(
    running: Server, tokens: int, settings: Sequence[Var | Intervention], temperature: float = 0.0
) -> float:
    """Time of a step while all of them decode: `tokens`, or more if they begin too late for that."""

    def answer(setting: Var | Intervention) -> Answer:
        return running.answer(picture(0), QUESTION, tokens, setting, temperature)

    for _ in range(4):
        with concurrent.futures.ThreadPoolExecutor(len(settings)) as pool:
            times = [answer.token_times for answer in pool.map(answer, settings)]
        begin, end = max(one[0] for one in times), min(one[-1] for one in times)
        steps = [sum(begin < t <= end for t in one) for one in times]
        if min(steps) >= tokens // 3:
            return (end - begin) / statistics.mean(steps)
        tokens *= 2
    raise RuntimeError("the streams did not run together; give more --tokens")


class Times:
    """Seconds with VAR off and on, in pairs."""

    def __init__(self) -> None:
        self.off: list[float] = []
        self.on: list[float] = []

    def add(self, on: bool, seconds: float) -> None:
        (self.on if on else self.off).append(seconds)

    def summary(self) -> dict[str, float]:
        numbers = {}
        for name, choose in (("min", min), ("median", statistics.median)):
            numbers |= {f"off_{name}": choose(self.off), f"on_{name}": choose(self.on)}
            numbers[f"ratio_{name}"] = choose(self.on) / choose(self.off)
        return numbers


def measure(running: Server, tokens: int, rounds: int, tau: float | None) -> dict[str, dict[str, float]]:
    prefill, alone, batch = Times(), Times(), Times()
    running.answer(picture(0), QUESTION, 1)  # the batches' picture
    for round_ in range(rounds):
        for on in (False, True) if round_ % 2 else (True, False):
            own = picture(1 + 2 * round_ + on)
            answer = running.answer(own, QUESTION, tokens, setting(on, tau))
            prefill.add(on, answer.reply.timing.prefill_seconds)
            alone.add(on, answer.seconds_after_first / (len(answer.token_times) - 1))
            half = [setting(on and i % 2 == 0, tau) for i in range(BATCH)]
            batch.add(on, batch_step_seconds(running, tokens, half))
    prompt = answer.reply.usage.prompt_tokens
    return {"prompt_tokens": prompt, "prefill": prefill.summary(), "decode": alone.summary(), "batch": batch.summary()}


def ours(
    args: argparse.Namespace, model: str, tokens: int, rounds: int, tau: float | None
) -> dict[str, dict[str, float]]:
    with server(args.build, model, "--threads", str(args.threads), "--max_running", str(BATCH)) as running:
        return measure(running, tokens, rounds, tau)


def transformers_peer(args: argparse.Namespace) -> None:
    """Eager attention without and with the authors' way, in a process of its own; prints JSON."""
    import torch
    import transformers

    from authors_var import AuthorsVar
    from token_clock import TokenClock

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(args.threads)
    model = transformers.LlavaForConditionalGeneration.from_pretrained(
        args.peer, dtype="auto", attn_implementation={"text_config": "eager"}
    ).eval()
    processor = transformers.AutoProcessor.from_pretrained(args.peer)
    authors = AuthorsVar(model, args.sink_dimensions, args.tau)
    message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    text = processor.apply_chat_template(message, add_generation_prompt=True)
    inputs = processor(images=Image.open(io.BytesIO(picture(0))), text=text, return_tensors="pt").to(model.dtype)
    prefill, decode = Times(), Times()
    with torch.no_grad():
        model.generate(input_ids=inputs["input_ids"][:, -8:], max_new_tokens=4, do_sample=False)  # to warm up
    for round_ in range(args.rounds):
        for on in (False, True) if round_ % 2 else (True, False):
            clock = TokenClock()
            with torch.no_grad(), authors.applied(inputs["input_ids"][0]) if on else torch.no_grad():
                model.generate(
                    **inputs, max_new_tokens=args.tokens, min_new_tokens=args.tokens, do_sample=False, streamer=clock
                )
            times = clock.times
            prefill.add(on, times[1] - times[0])  # the first time is the prompt's
            decode.add(on, (times[-1] - times[1]) / (len(times) - 2))
    print(
        json.dumps({"heads_changed": authors.heads_changed, "prefill": prefill.summary(), "decode": decode.summary()})
    )


def print_rows(rows: list[tuple[str, dict[str, float]]]) -> None:
    print(f"{'milliseconds':34}{'off min':>9}{'median':>9}{'on min':>9}{'median':>9}{'ratio min':>11}{'median':>8}")
    for name, n in rows:
        cells = [1000 * n[f"{which}_{kind}"] for which in ("off", "on") for kind in ("min", "median")]
        print(f"{name:34}" + "".join(f"{c:9.2f}" for c in cells) + f"{n['ratio_min']:11.3f}{n['ratio_median']:8.3f}")


def compare(
    args: argparse.Namespace, name: str, model: str, tokens: int, rounds: int, tau: float | None, profile: dict
) -> dict:
    print(f"\n{name}", flush=True)
    mine = ours(args, model, tokens, rounds, tau)
    rows = [
        ("varserve: prefill", mine["prefill"]),
        ("varserve: decode step", mine["decode"]),
        (f"varserve: step of {BATCH}, half of them on", mine["batch"]),
    ]
    if args.no_peer:
        print_rows(rows)
        print(f"{mine['prompt_tokens']} prompt tokens")
        return {"name": name, "varserve": mine}
    command = [sys.executable, __file__, "--peer", model, "--threads", str(args.threads), "--tokens", str(tokens)]
    command += ["--rounds", str(max(1, rounds // 3)), "--tau", str(tau or profile["tau"])]
    command += ["--sink-dimensions", *map(str, profile["sink_dimensions"])]
    peer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    rows += [("transformers eager: prefill", peer["prefill"]), ("transformers eager: decode step", peer["decode"])]
    print_rows(rows)
    ratios = {key: peer[key]["on_median"] / mine[key]["on_median"] for key in ("prefill", "decode")}
    print(
        f"{mine['prompt_tokens']} prompt tokens; with VAR the authors' way takes {ratios['prefill']:.1f} times "
        f"as long to prefill and {ratios['decode']:.1f} times as long per token as varserve "
        f"({peer['heads_changed']} rows of heads changed)"
    )
    return {"name": name, "varserve": mine, "transformers": peer, "transformers_over_varserve": ratios}


def profile_of(args: argparse.Namespace, model: str) -> dict:
    with server(args.build, model, "--threads", str(args.threads)) as running:
        profile = running.client.model().var_profile
    return {"sink_dimensions": list(profile.sink_dimensions), "tau": profile.tau}


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    parser.add_argument("--tokens", type=int, default=48, help="to generate for each answer (default: %(default)s)")
    parser.add_argument(
        "--rounds",
        type=int,
        default=6,
        help="pairs of runs, off and on; the 7B and the peer take a third (default: %(default)s)",
    )
    parser.add_argument(
        "--seven-billion", metavar="DIR", help="also measure a 7B with random weights; made at DIR if it is not there"
    )
    parser.add_argument("--no-peer", action="store_true", help="leave transformers out")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--tau", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--sink-dimensions", type=int, nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        transformers_peer(args)
        return
    profile = profile_of(args, args.embedded)
    results = [compare(args, "embedded model", args.embedded, args.tokens, args.rounds, None, profile)]
    if args.seven_billion:
        if not pathlib.Path(args.seven_billion).exists():
            print("making the 7B directory", flush=True)
            subprocess.run([sys.executable, HERE / "seven_billion.py", args.embedded, args.seven_billion], check=True)
        # Random weights have no massive dimensions: a low threshold makes every eighth token a sink.
        profile = profile_of(args, args.seven_billion)
        results.append(
            compare(
                args,
                "LLaVA-1.5-7B shape, random weights",
                args.seven_billion,
                24,
                max(1, args.rounds // 3),
                1.8,
                profile,
            )
        )
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
