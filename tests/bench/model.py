"""Load time, memory, prefill and decode speed of one sequence, compared with transformers on the same directory in the
same run.

Run it as ./dev bench model. The embedded model takes two minutes; --seven-billion adds a LLaVA-1.5-7B with random
weights (14 GB of disk, 16 GB of memory, half an hour, most of it the peer's).
"""

import argparse
import io
import json
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
from PIL import Image

from arguments import bench_parser
from varserve_client import Server, server

HERE = pathlib.Path(__file__).resolve().parent
# The script that makes a model's directory, and the side of a picture of 576 visual tokens.
FAMILIES = {"qwen2.5-vl-3b": ("qwen2_5_vl_3b.py", 672)}
QUESTION = "What do you see in the picture, and what is it good for? " * 4


def picture(seed: int, size: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).save(data, "PNG")
    return data.getvalue()


def memory_read_gbs(threads: int) -> float:
    """GB/s of a plain read of memory by all threads: what decoding could reach at most."""
    import torch

    torch.set_num_threads(threads)
    data = torch.ones(1 << 27, dtype=torch.int64)
    best = 0.0
    for _ in range(8):
        start = time.monotonic()
        data.sum()
        best = max(best, data.numel() * 8 / (time.monotonic() - start) / 1e9)
    return best


def one_sequence(s: Server, tokens: int, rounds: int, size: int) -> dict[str, float]:
    """Speeds of one question at a time, each about a picture of its own."""
    prefill, decode = [], []
    for seed in range(rounds):
        answer = s.answer(picture(seed, size), QUESTION, tokens)
        prefill.append(answer.reply.usage.prompt_tokens / answer.reply.timing.first_token_seconds)
        decode.append((len(answer.token_times) - 1) / answer.seconds_after_first)
    return {
        "prompt_tokens": answer.reply.usage.prompt_tokens,
        "prefill_tokens_per_second": statistics.median(prefill),
        "decode_tokens_per_second": statistics.median(decode),
    }


def ours(args: argparse.Namespace, model: str, tokens: int, rounds: int, size: int) -> dict[str, float]:
    flags = ["--threads", str(args.threads), "--prefix_cache", "0", "--max_running", "1"]
    with server(args.build, model, *flags) as s:
        speeds = one_sequence(s, tokens, rounds, size)
        return {"load_seconds": s.load_seconds, "peak_bytes": s.peak_bytes(), **speeds}


def transformers_peer(args: argparse.Namespace) -> None:
    """Runs in a process of its own; prints JSON."""
    import torch
    import transformers

    from token_clock import TokenClock

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(args.threads)
    start = time.monotonic()
    model = transformers.AutoModelForImageTextToText.from_pretrained(args.peer, dtype="auto").eval()
    processor = transformers.AutoProcessor.from_pretrained(args.peer)
    load = time.monotonic() - start
    prefill, decode = [], []
    for seed in range(args.rounds):
        message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
        text = processor.apply_chat_template(message, add_generation_prompt=True)
        image = Image.open(io.BytesIO(picture(seed, args.picture)))
        start = time.monotonic()
        inputs = processor(images=image, text=text, return_tensors="pt").to(model.dtype)
        clock = TokenClock()
        with torch.no_grad():
            model.generate(
                **inputs, max_new_tokens=args.tokens, min_new_tokens=args.tokens, do_sample=False, streamer=clock
            )
        times = clock.times[1:]  # the first is the prompt
        prompt = inputs["input_ids"].shape[1]
        prefill.append(prompt / (times[0] - start))
        decode.append((len(times) - 1) / (times[-1] - times[0]))
    status = pathlib.Path("/proc/self/status").read_text()
    print(
        json.dumps(
            {
                "load_seconds": load,
                "peak_bytes": int(status.split("VmHWM:")[1].split()[0]) * 1024,
                "prompt_tokens": prompt,
                "prefill_tokens_per_second": statistics.median(prefill),
                "decode_tokens_per_second": statistics.median(decode),
            }
        )
    )


def weight_bytes(model: str) -> int:
    return sum(p.stat().st_size for p in pathlib.Path(model).glob("*.safetensors"))


def decoder_share(model: str) -> int:
    """Share of the weights that every decoded token reads:
    all but the vision tower, an untied input embedding, and the projector."""
    config = json.loads(pathlib.Path(model, "config.json").read_text())
    text = config.get("text_config", config)
    c, inner, layers = text["hidden_size"], text["intermediate_size"], text["num_hidden_layers"]
    head = text.get("head_dim") or c // text["num_attention_heads"]
    kv = text["num_key_value_heads"] * head
    per_layer = 2 * c * text["num_attention_heads"] * head + 2 * c * kv + 3 * c * inner
    return 2 * (layers * per_layer + text["vocab_size"] * c)  # bytes in 16 bit


def compare(args: argparse.Namespace, name: str, model: str, tokens: int, rounds: int, size: int) -> dict:
    print(f"\n{name}: {weight_bytes(model) / 1e9:.2f} GB of weights", flush=True)
    mine = ours(args, model, tokens, rounds, size)
    command = [sys.executable, __file__, "--peer", model, "--threads", str(args.threads), "--tokens", str(tokens)]
    command += ["--rounds", str(rounds), "--picture", str(size)]
    peer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    read = memory_read_gbs(args.threads)
    possible = read * 1e9 / decoder_share(model)
    print(f"{'':28}{'varserve':>12}{'transformers':>14}{'ratio':>8}")
    for key, unit, scale in (
        ("load_seconds", "s", 1),
        ("peak_bytes", "GB", 1e-9),
        ("prefill_tokens_per_second", "tok/s", 1),
        ("decode_tokens_per_second", "tok/s", 1),
    ):
        a, b = mine[key] * scale, peer[key] * scale
        label = key.rsplit("_", 1)[0] if unit != "tok/s" else key.split("_")[0]
        print(f"{label:>20} {unit:<7}{a:12.2f}{b:14.2f}{a / b:8.2f}")
    share = mine["decode_tokens_per_second"] / possible
    print(
        f"{mine['prompt_tokens']} prompt tokens; memory reads at {read:.1f} GB/s, which allows {possible:.1f} tok/s: "
        f"decode reaches {share:.0%}"
    )
    print(f"peak memory is {mine['peak_bytes'] / weight_bytes(model):.2f} x the weights")
    return {"name": name, "varserve": mine, "transformers": peer, "memory_read_gbs": read, "share_of_possible": share}


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    parser.add_argument(
        "--seven-billion", metavar="DIR", help="also measure a 7B with random weights; made at DIR if it is not there"
    )
    parser.add_argument(
        "--family",
        nargs=2,
        metavar=("NAME", "DIR"),
        help=f"also measure a model of NAME's published shape with random weights, made at DIR if it is not there; "
        f"NAME is one of: {', '.join(FAMILIES)}",
    )
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--tokens", type=int, default=64, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, help=argparse.SUPPRESS)
    parser.add_argument("--picture", type=int, default=224, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        transformers_peer(args)
        return
    results = [compare(args, "embedded model", args.embedded, tokens=64, rounds=5, size=224)]
    if args.seven_billion:
        if not pathlib.Path(args.seven_billion).exists():
            print("making the 7B directory", flush=True)
            subprocess.run([sys.executable, HERE / "seven_billion.py", args.embedded, args.seven_billion], check=True)
        results.append(
            compare(args, "LLaVA-1.5-7B shape, random weights", args.seven_billion, tokens=16, rounds=1, size=336)
        )
    if args.family:
        name, directory = args.family
        if name not in FAMILIES:
            parser.error(f"--family: {name} is not one of: {', '.join(FAMILIES)}")
        script, size = FAMILIES[name]
        if not pathlib.Path(directory).exists():
            print(f"making the {name} directory", flush=True)
            subprocess.run([sys.executable, HERE / script, args.embedded, directory], check=True)
        results.append(compare(args, f"{name} shape, random weights", directory, tokens=16, rounds=1, size=size))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
