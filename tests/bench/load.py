"""Many callers at once: tokens per second at rising concurrency, compared with transformers' own batches of the same
requests in the same run, the first token of a second question on a picture, and how evenly tokens come.

Run it as ./dev bench load. The embedded model takes some ten minutes; --seven-billion adds a LLaVA-1.5-7B with random
weights (14 GB of disk, 20 GB of memory, half an hour on a CPU), where all questions are about one picture, so that the
tokens per second are those of the answers,
and without the peer, which computes the picture again for each and would take hours.
"""

import argparse
import concurrent.futures
import io
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import time

from PIL import Image

from arguments import bench_parser
from model import picture
from varserve_client import Answer, Server, server

HERE = pathlib.Path(__file__).resolve().parent
QUESTIONS = (
    "What do you see in the picture, and what is it good for?",
    "Which colours are there?",
    "How many things are there, and where are they?",
    "What is in the middle of the picture?",
)

Request = tuple[bytes, str]  # picture, question


def gaps_between_tokens(answer: Answer) -> list[float]:
    """Seconds; those of one chunk come evenly."""
    pairs = itertools.pairwise(answer.chunks)
    return [(now - last) / tokens for (last, _), (now, tokens) in pairs for _ in range(tokens)]


def first_token_seconds(answer: Answer) -> float:
    return answer.reply.timing.first_token_seconds


def at_concurrency(s: Server, callers: int, requests: list[Request], tokens: int) -> dict[str, float]:
    """Every request of the list once, by so many callers."""
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(callers) as pool:
        answers = list(pool.map(lambda request: s.answer(*request, tokens), requests))
    seconds = time.monotonic() - start
    gaps = sorted(gap for answer in answers for gap in gaps_between_tokens(answer))
    return {
        "concurrency": callers,
        "requests": len(requests),
        "tokens_per_second": sum(answer.reply.usage.generated_tokens for answer in answers) / seconds,
        "first_token_seconds": statistics.median(first_token_seconds(answer) for answer in answers),
        "inter_token_median_seconds": statistics.median(gaps),
        "inter_token_p99_seconds": gaps[int(0.99 * (len(gaps) - 1))],
        "prompt_tokens": answers[0].reply.usage.prompt_tokens,
    }


def second_question(s: Server, images: list[bytes]) -> dict[str, float]:
    """First token of a first and of a second question on the same picture, nobody else asking."""
    first, second = [], []
    for image in images:
        first.append(first_token_seconds(s.answer(image, QUESTIONS[0], 1)))
        second.append(first_token_seconds(s.answer(image, QUESTIONS[1], 1)))
    return {"first_seconds": statistics.median(first), "second_seconds": statistics.median(second)}


def images_of(round_number: int, count: int, size: int) -> list[bytes]:
    """Pictures no other round has."""
    return [picture(1000 * round_number + i, size) for i in range(count)]


def requests_of(args: argparse.Namespace, callers: int) -> list[Request]:
    """(picture, question) of a line, with pictures no other line has."""
    count, each = max(args.requests, callers), args.questions
    images = images_of(callers + 100 * each, (count + each - 1) // each, args.picture)
    return [(images[i // each], QUESTIONS[i % each]) for i in range(count)]


def ours(args: argparse.Namespace, model: str, one_picture: bool) -> dict:
    flags = ["--threads", str(args.threads), "--max_running", "16"]
    with server(args.build, model, *flags) as s:
        second = second_question(s, images_of(50, args.requests // 4, args.picture))
        levels = []
        for callers in args.concurrency:
            if one_picture:  # after second_question() its first one is in the prefix cache
                requests = [(images_of(50, 1, args.picture)[0], QUESTIONS[0])] * max(args.requests, callers)
            else:
                requests = requests_of(args, callers)
            levels.append(at_concurrency(s, callers, requests, args.tokens))
        return {"levels": levels, "second_question": second}


def transformers_peer(args: argparse.Namespace) -> None:
    """Runs in a process of its own; prints JSON: tokens per second by batch size."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(args.threads)
    model = transformers.LlavaForConditionalGeneration.from_pretrained(args.peer, dtype="auto").eval()
    processor = transformers.AutoProcessor.from_pretrained(args.peer)
    processor.tokenizer.padding_side = "left"
    processor.tokenizer.pad_token = processor.tokenizer.pad_token or processor.tokenizer.eos_token

    def prompt(question: str) -> str:
        message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
        return processor.apply_chat_template(message, add_generation_prompt=True)

    def run(requests: list[Request], tokens: int) -> None:
        pictures = [[Image.open(io.BytesIO(image))] for image, _ in requests]
        texts = [prompt(question) for _, question in requests]
        inputs = processor(images=pictures, text=texts, padding=True, return_tensors="pt").to(model.dtype)
        with torch.no_grad():
            model.generate(**inputs, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False)

    run([(images_of(99, 1, args.picture)[0], QUESTIONS[0])], 4)
    result = {}
    for batch in args.concurrency:
        requests = requests_of(args, batch)
        start = time.monotonic()
        for i in range(0, len(requests), batch):
            run(requests[i : i + batch], args.tokens)
        result[batch] = len(requests) * args.tokens / (time.monotonic() - start)
    print(json.dumps(result))


def compare(args: argparse.Namespace, name: str, model: str, one_picture: bool = False) -> dict:
    each = f"{args.questions} about each picture" if args.questions > 1 else "each with a picture of its own"
    pictures = "about one picture" if one_picture else each
    print(f"\n{name}: {args.tokens} tokens an answer, {args.requests} or more requests a line, {pictures}", flush=True)
    mine = ours(args, model, one_picture)
    peer = {}
    if not one_picture:
        command = [sys.executable, __file__, "--peer", model]
        for flag in ("threads", "tokens", "requests", "questions", "picture"):
            command += [f"--{flag}", str(getattr(args, flag))]
        command += ["--concurrency", *map(str, args.concurrency)]
        peer = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
        )

    print(
        "concurrency   tok/s  speedup   first token s   between tokens ms: median     p99   transformers tok/s  ratio"
    )
    alone = mine["levels"][0]["tokens_per_second"]
    for level in mine["levels"]:
        rate, theirs = level["tokens_per_second"], peer.get(str(level["concurrency"]))
        median, p99 = 1e3 * level["inter_token_median_seconds"], 1e3 * level["inter_token_p99_seconds"]
        print(
            f"{level['concurrency']:11}{rate:8.1f}{rate / alone:9.2f}"
            f"{level['first_token_seconds']:16.3f}{median:28.1f}{p99:8.1f}"
            + (f"{theirs:21.1f}{rate / theirs:7.2f}" if theirs else "")
        )
    second = mine["second_question"]
    print(
        f"{mine['levels'][0]['prompt_tokens']} prompt tokens; first token of a second question on the same picture: "
        f"{second['second_seconds']:.3f} s after {second['first_seconds']:.3f} s, "
        f"1/{second['first_seconds'] / second['second_seconds']:.1f}"
    )
    return {"name": name, "varserve": mine, "transformers_tokens_per_second": peer}


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--requests", type=int, default=16, help="at least so many at every concurrency")
    parser.add_argument("--tokens", type=int, default=64, help="of every answer")
    parser.add_argument(
        "--questions",
        type=int,
        choices=range(1, len(QUESTIONS) + 1),
        help="about each picture; default: a table of 1 and one of 4",
    )
    parser.add_argument(
        "--seven-billion", metavar="DIR", help="also measure a 7B with random weights; made at DIR if it is not there"
    )
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--picture", type=int, default=224, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        transformers_peer(args)
        return
    results = []
    for questions in [args.questions] if args.questions else [1, 4]:
        args.questions = questions
        results.append(compare(args, "embedded model", args.embedded))
    if args.seven_billion:
        if not pathlib.Path(args.seven_billion).exists():
            print("making the 7B directory", flush=True)
            subprocess.run([sys.executable, HERE / "seven_billion.py", args.embedded, args.seven_billion], check=True)
        args.picture, args.tokens, args.requests, args.concurrency = 336, 32, 8, [1, 8]
        results.append(compare(args, "LLaVA-1.5-7B shape, random weights", args.seven_billion, one_picture=True))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
