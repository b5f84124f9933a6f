"""What OpenAI's API over HTTP costs, compared with gRPC: tokens per second of the same requests, 16 at once,
alternately over the two interfaces of one server.

Run it as ./dev bench transport; it takes some five minutes. Each request has a picture of its own, which no other round
has, so that nothing is cached.
"""

import base64
import concurrent.futures
import json
import pathlib
import statistics
import time
import urllib.request
from collections.abc import Callable

import load
from arguments import bench_parser
from varserve_client import Server, server

Ask = Callable[[Server, bytes, str, int], int]  # returns the number of generated tokens


def over_grpc(running: Server, image: bytes, question: str, tokens: int) -> int:
    return running.answer(image, question, tokens).reply.usage.generated_tokens


def over_http(running: Server, image: bytes, question: str, tokens: int) -> int:
    """Streamed, as gRPC's answers are."""
    url = "data:image/png;base64," + base64.b64encode(image).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": question}]
    body = {
        "model": "bench",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    request = urllib.request.Request(
        f"http://{running.http_address}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        events = [line.removeprefix(b"data: ") for line in reply if line.strip()]
    return json.loads(events[-2])["usage"]["completion_tokens"]  # the last one is [DONE]


def tokens_per_second(running: Server, ask: Ask, requests: list[load.Request], callers: int, tokens: int) -> float:
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(callers) as pool:
        counts = list(pool.map(lambda request: ask(running, *request, tokens), requests))
    return sum(counts) / (time.monotonic() - start)


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    parser.add_argument("--callers", type=int, default=16, help="requests at once (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=32, help="over each door in each round (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=32, help="of every answer (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="default: %(default)s")
    args = parser.parse_args()

    doors: dict[str, Ask] = {"gRPC": over_grpc, "HTTP": over_http}
    rates: dict[str, list[float]] = {door: [] for door in doors}
    flags = ["--threads", str(args.threads), "--max_running", str(args.callers), "--model_name", "bench"]
    with server(args.build, args.embedded, *flags) as running:
        for round_ in range(args.rounds):
            for turn, door in enumerate(sorted(doors, reverse=round_ % 2 == 1)):
                images = load.images_of(2 * round_ + turn, args.requests, 224)
                requests = [(image, load.QUESTIONS[0]) for image in images]
                rate = tokens_per_second(running, doors[door], requests, args.callers, args.tokens)
                rates[door].append(rate)
                print(f"round {round_ + 1}, {door}: {rate:.1f} tokens/s", flush=True)
    ratios = [http / grpc for http, grpc in zip(rates["HTTP"], rates["gRPC"], strict=True)]
    for door, found in rates.items():
        print(f"{door}: median {statistics.median(found):.1f} tokens/s")
    print(
        f"HTTP over gRPC: median {statistics.median(ratios):.3f}, of each round {[round(ratio, 3) for ratio in ratios]}"
    )
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"tokens_per_second": rates, "ratios": ratios}, indent=1))


if __name__ == "__main__":
    main()
