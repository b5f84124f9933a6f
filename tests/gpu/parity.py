"""The same greedy requests to two servers: are answers and evidence equal?

parity.py cpu: the device and the CPU, in float32. parity.py torch: the cuda backend and the torch backend on the same
device, in bfloat16.
"""

import concurrent.futures
import dataclasses
import sys
from collections.abc import Callable

import grpc

from mixed_requests import mixed_requests
from step import ROOT, Settings, detail, row, settings
from varserve_api import VisionLanguageStub, pb, var_pb
from varserve_client import Server

CALLERS = 8
PORTION = 25  # requests after which the table is brought up to date


@dataclasses.dataclass
class Answer:
    tokens: list[int]
    logprobs: list[float]
    report: "var_pb.VarReport"


def ask(stub: VisionLanguageStub, request: pb.GenerateRequest) -> Answer:
    answer = Answer([], [], var_pb.VarReport())
    for response in stub.Generate(request):
        kind = response.WhichOneof("event")
        if kind == "delta":
            answer.tokens += response.delta.token_ids
            answer.logprobs += [token.logprob for token in response.delta.logprobs]
        elif kind == "finished":
            answer.report = response.finished.var_report
    return answer


def start(s: Settings, *flags: str) -> Server:
    threads = max(1, s.threads - 2)
    common = ("--threads", str(threads), "--max_running", str(CALLERS), "--memory_budget", "8G")
    return Server(ROOT, s.embedded, *flags, *common)


def flags_of_both(s: Settings, reference: str) -> tuple[list[str], list[str]]:
    if reference == "cpu":
        return ["--device", s.device, "--dtype", "float32"], ["--device", "cpu", "--dtype", "float32"]
    common = ["--device", s.device, "--dtype", "bfloat16", "--backend"]
    return [*common, "cpu" if s.device == "cpu" else "cuda"], [*common, "torch"]


def sinks(report: var_pb.VarReport) -> list:
    layers = [(layer.layer, layer.visual_sink_tokens, layer.text_sink_tokens) for layer in report.layers]
    visual = [(sink.image, sink.row, sink.column, sink.layers) for sink in report.visual_sinks]
    return [report.distinct_visual_sinks, layers, visual]


def moved(report: var_pb.VarReport) -> list[float]:
    """Everything of the evidence that is a share of attention."""
    fields = (
        "redistributed_attention",
        "visual_attention_before",
        "visual_attention_after",
        "image_centric_head_ratio",
    )
    return [getattr(part, field) for part in (report, *report.layers, *report.tokens) for field in fields]


def maps(report: var_pb.VarReport) -> list[float]:
    return [value for one in report.maps for value in (*one.before, *one.after)]


def equal_tokens(a: Answer, b: Answer) -> int:
    """Before the first that differs."""
    pairs = enumerate(zip(a.tokens, b.tokens, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a.tokens), len(b.tokens)))


def largest_difference(a: list[float], b: list[float]) -> float:
    if len(a) != len(b):
        return float("inf")
    return max((abs(x - y) for x, y in zip(a, b, strict=True)), default=0.0)


def compare(pairs: list[tuple[Answer, Answer]]) -> None:
    """Answers of the one and of the other."""
    equal = [(a, b) for a, b in pairs if a.tokens == b.tokens]
    measured = [(a, b) for a, b in equal if b.report.eligible_rows]

    def worst(numbers: Callable[[Answer], list[float]], of: list[tuple[Answer, Answer]]) -> float:
        return max((largest_difference(numbers(a), numbers(b)) for a, b in of), default=0.0)

    row("equal token by token", f"{len(equal)} of {len(pairs)}")
    row("of these with sinks measured", len(measured))
    row("and the same sinks in every layer", sum(sinks(a.report) == sinks(b.report) for a, b in measured))
    row("visual sinks found, all requests", sum(b.report.distinct_visual_sinks for _, b in pairs))
    row("largest share of attention moved", max(b.report.redistributed_attention for _, b in pairs))
    row("largest difference: shares of attention", worst(lambda answer: moved(answer.report), measured))
    row("largest difference: maps", worst(lambda answer: maps(answer.report), measured))
    lengths = [(a, b, equal_tokens(a, b)) for a, b in pairs]
    row(
        "equal tokens before the first that differs",
        f"{sum(n for *_, n in lengths)} of {sum(len(b.tokens) for _, b in pairs)}",
    )
    differences = [largest_difference(a.logprobs[:n], b.logprobs[:n]) for a, b, n in lengths]
    row("largest difference: log-probabilities of these", max(differences, default=0.0))
    for number, (a, b) in enumerate(pairs):
        if a.tokens != b.tokens:
            differing = [i for i, (x, y) in enumerate(zip(a.tokens, b.tokens, strict=False)) if x != y]
            detail(f"request {number} differs", {"tokens": differing, "one": a.tokens, "other": b.tokens})
        elif sinks(a.report) != sinks(b.report):
            detail(f"request {number} has other sinks", {"one": str(sinks(a.report)), "other": str(sinks(b.report))})


def main() -> None:
    reference = sys.argv.pop(1)
    s = settings()
    requests = mixed_requests(4 if s.tiny else 100)
    with concurrent.futures.ThreadPoolExecutor(2 * CALLERS) as pool:
        servers = list(pool.map(lambda flags: start(s, *flags), flags_of_both(s, reference)))
        for server, name in zip(servers, ("one server", "the other"), strict=True):
            found = server.client.model()
            row(name, f"{found.device}, {found.dtype}")
        stubs = [VisionLanguageStub(grpc.insecure_channel(server.address)) for server in servers]
        pairs: list[tuple[Answer, Answer]] = []
        for first in range(0, len(requests), PORTION):
            portion = requests[first : first + PORTION]
            ours, theirs = ([pool.submit(ask, stub, request) for request in portion] for stub in stubs)
            pairs += [(a.result(), b.result()) for a, b in zip(ours, theirs, strict=True)]
            compare(pairs)
    for server in servers:
        server.stop()


if __name__ == "__main__":
    main()
