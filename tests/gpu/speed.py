"""A model on the device in bfloat16, as a client sees it: load, decoding alone and in batches, what VAR costs, first
tokens. Called as speed.py embedded | seven_billion cuda | torch none | int8 | int4: the model, the backend on a GPU,
--quantize. Of a quantized model VAR, mixed batches and new pictures are not measured."""

import json
import sys

import load
import model
import var
from step import ROOT, Settings, detail, row, settings
from varserve_client import Server, server

BATCHES = (8, 32)
CALLERS = 16


def batches(s: Settings, running: Server, tokens: int) -> None:
    """All of them decode after one picture."""
    running.answer(var.picture(0), var.QUESTION, 1)
    for size in BATCHES[:1] if s.tiny else BATCHES:
        step = var.batch_step_seconds(running, tokens, [var.setting(False, None)] * size)
        row(f"decode, {size} sequences", size / step, "tok/s")
        row(f"decode step, {size} sequences", 1e3 * step, "ms")
    sampled = var.batch_step_seconds(running, tokens, [var.setting(False, None)] * size, temperature=1.0)
    row(f"decode step, {size} sequences at a temperature of 1", 1e3 * sampled, "ms")


def cost_of_var(running: Server, tokens: int, rounds: int) -> None:
    measured = var.measure(running, tokens, rounds, None)
    detail("VAR", measured)
    for key, name in (
        ("decode", "decode step alone"),
        ("batch", f"step of {var.BATCH}, half of them on"),
        ("prefill", "prefill"),
    ):
        row(f"VAR on over off: {name}", measured[key]["ratio_median"], "x")
        row(f"{name}, VAR off", 1e3 * measured[key]["off_median"], "ms")


def mixed_batch(s: Settings, running: Server, tokens: int) -> None:
    """After batches(), whose picture it asks about."""
    size = BATCHES[0 if s.tiny else -1]
    times = var.Times()
    for on in (False, True, True, False):
        half = [var.setting(on and i % 2 == 0, None) for i in range(size)]
        times.add(on, var.batch_step_seconds(running, tokens, half))
    row(f"VAR on over off: step of {size}, half of them on", times.summary()["ratio_median"], "x")


def new_pictures(s: Settings, running: Server, tokens: int, side: int) -> None:
    """Callers that decode while others' pictures are encoded and prefilled."""
    callers = 4 if s.tiny else CALLERS
    pictures = load.images_of(60, 2 * callers, side)
    measured = load.at_concurrency(running, callers, [(picture, load.QUESTIONS[0]) for picture in pictures], tokens)
    median, p99 = measured["inter_token_median_seconds"], measured["inter_token_p99_seconds"]
    name = f"{callers} callers, a new picture each question"
    row(f"{name}: all together", measured["tokens_per_second"], "tok/s")
    row(f"{name}: between tokens, median", 1e3 * median, "ms")
    row(f"{name}: between tokens, p99", 1e3 * p99, "ms")
    row(f"{name}: p99 over the median", p99 / median, "x")


def warnings(running: Server) -> None:
    """Such as why there are no graphs."""
    for line in running.warnings():
        row("log", line)


def without_graphs(s: Settings, flags: list[str], tokens: int, rounds: int, side: int) -> None:
    with server(ROOT, s.embedded, *flags, "--enforce_eager") as running:
        running.answer(model.picture(77, side), model.QUESTION, 4)
        rate = model.one_sequence(running, tokens, rounds, side)["decode_tokens_per_second"]
        row("decode step, one sequence, without graphs", 1e3 / rate, "ms")


def main() -> None:
    name, backend, quantize = (sys.argv.pop(1) for _ in range(3))
    s = settings()
    directory = getattr(s, name)
    side = {"embedded": 224, "seven_billion": 336}[name]
    tokens, rounds = (24, 1) if s.tiny else (64, 3)
    flags = ["--device", s.device, "--dtype", "bfloat16", "--quantize", quantize, "--max_running", "64"]
    flags += ["--memory_budget", "8G"] if s.device == "cpu" else ["--backend", backend]
    with server(ROOT, directory, *flags) as running:
        row("load, from start to ready", running.load_seconds, "s")
        row("weights, as stored", model.weight_bytes(directory) / 1e9, "GB")
        found = running.client.model()
        row("device, dtype", f"{found.device}, {found.quantization or found.dtype}")
        for on in (False, True):  # to warm up
            running.answer(model.picture(77, side), model.QUESTION, 4, var.setting(on, None))

        alone = model.one_sequence(running, tokens, rounds, side)
        rate = alone["decode_tokens_per_second"]
        row("prompt", alone["prompt_tokens"], "tokens")
        row("decode, one sequence", rate, "tok/s")
        row("decode step, one sequence", 1e3 / rate, "ms")
        card = s.work / "card.json"
        if card.exists() and quantize == "none":
            limit = json.loads(card.read_text())["read_bytes_per_second"] / model.decoder_share(directory)
            row("what reading the weights allows", limit, "tok/s")
            row("share of that", 100 * rate / limit, "%")
        second = load.second_question(running, load.images_of(50, rounds, side))
        row("first token of a question on a new picture", 1e3 * second["first_seconds"], "ms")
        row("first token of a second question on it", 1e3 * second["second_seconds"], "ms")
        batches(s, running, tokens)
        warnings(running)
        if quantize != "none":
            return
        mixed_batch(s, running, tokens)
        new_pictures(s, running, tokens, side)
        cost_of_var(running, tokens // 2, 1 if s.tiny else 2)
    if name == "embedded":
        without_graphs(s, flags, tokens, rounds, side)


if __name__ == "__main__":
    main()
