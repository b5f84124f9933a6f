"""What one caller can try. Each case is a function of the running server that attacks it and says what came of it."""

from __future__ import annotations

import dataclasses
import functools
import io
import re
import socket
import statistics
import time
import urllib.request
from collections.abc import Callable

import grpc
import numpy as np
from PIL import Image

from harness import METHOD, MIB, PICTURE, Caller, ServerProcess, call_raw, together
from processes import blocked_log, failed_start, in_container
from varserve_api import VisionLanguageStub, pb, var_pb

HONEST, HOSTILE = "honest-caller-token", "hostile-caller-token"  # bearer tokens


@dataclasses.dataclass(frozen=True)
class Size:
    """How much of it: as it was first found, or a part that shows the same in seconds."""

    text: int = 20_000_000  # bytes of a question
    special: int = 4000  # special tokens in a question
    empty_messages: int = 8_000_000
    edge: int = 8000  # pixels of the picture
    upload: int = 62_000_000  # bytes
    connections: int = 100
    tokens: int = 400  # of an answer with maps
    requests: int = 64  # of a caller who takes what he gets
    refused: int = 2000  # calls, each a line of the log


FOUND = Size()
SHORT = Size(
    text=4_000_000,
    special=1500,
    empty_messages=1_000_000,
    edge=3000,
    upload=16_000_000,
    tokens=60,
    requests=24,
    refused=1000,
)


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a case may cost. Seconds are generous: they separate right from wrong, not fast from slow."""

    seconds: float = 20  # of the attack
    grown: int = 150 * MIB  # resident memory at the peak, above what it was
    bystander: float = 10  # the slowest question during the attack, seconds


@dataclasses.dataclass(frozen=True)
class Case:
    title: str
    attack: Callable[[ServerProcess, Size], str]
    model: str = "embedded"
    limits: Limits = Limits()
    bystander: bool = True
    tokens: bool = False  # the server knows two callers by their bearer tokens
    piped: bool = False  # the server's log goes through a pipe


def answer(question: str, picture: bytes = PICTURE, **options: float) -> pb.AnswerRequest:
    return pb.AnswerRequest(images=[pb.Image(data=picture)], question=question, options=pb.GenerateOptions(**options))


def four(run: Callable[[], str]) -> str:
    """Four callers at once; the codes they got."""
    start = time.monotonic()
    codes = sorted({code.split(":")[0] for code in together(*[run] * 4)})
    return f"{', '.join(codes)} after {time.monotonic() - start:.2f} s"


def long_question(size: Size) -> pb.AnswerRequest:
    return answer("A lion and a tree. " * (size.text // 19))


def long_text(server: ServerProcess, size: Size) -> str:
    message = long_question(size).SerializeToString()
    return four(lambda: call_raw(server.address, "Answer", message))


def special_tokens(server: ServerProcess, size: Size) -> str:
    message = answer("</s>" * size.special).SerializeToString()
    return four(lambda: call_raw(server.address, "Answer", message))


def empty_messages(server: ServerProcess, size: Size) -> str:
    message = b"\x0a\x00" * size.empty_messages
    return four(lambda: call_raw(server.address, "Generate", message))


@functools.cache
def large_picture(edge: int) -> bytes:
    """A small file of many pixels: RGBA, lying on its side."""
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 4), dtype=np.uint8)
    image = Image.fromarray(np.tile(noise, (edge // 16, edge // 16, 1)))
    exif = Image.Exif()
    exif[0x112] = 6
    data = io.BytesIO()
    image.save(data, "PNG", exif=exif, compress_level=9)
    return data.getvalue()


def about_large_picture(size: Size) -> pb.AnswerRequest:
    return answer("What is it?", large_picture(size.edge), max_tokens=1)


def pictures(server: ServerProcess, size: Size) -> str:
    message = about_large_picture(size).SerializeToString()
    return four(lambda: call_raw(server.address, "Answer", message, HOSTILE))


def uploads(server: ServerProcess, size: Size) -> str:
    from stalled_upload import StalledUpload

    stalled = [StalledUpload(server.address, METHOD + "Answer", size.upload + MIB, size.upload) for _ in range(4)]
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not all(upload.ended.is_set() for upload in stalled):
        time.sleep(0.05)
    refused = sum(upload.ended.is_set() for upload in stalled)
    for upload in stalled:
        upload.close()
    return f"{refused} of 4 ended by the server within 5 s"


def connections(server: ServerProcess, size: Size) -> str:
    host, port = server.metrics_address.split(":")
    idle = [socket.create_connection((host, int(port)), timeout=10) for _ in range(size.connections)]
    for one in idle[::2]:
        one.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")  # and never the empty line
    start = time.monotonic()
    try:
        with urllib.request.urlopen(f"http://{server.metrics_address}/metrics", timeout=60) as reply:
            reply.read()
        outcome = f"scraped in {time.monotonic() - start:.2f} s"
    except OSError as error:
        outcome = f"not scraped in {time.monotonic() - start:.0f} s ({error})"
    for one in idle:
        one.close()
    return outcome


def compare_maps(tokens: int) -> pb.CompareRequest:
    """Eight settings, each with the maps of so many tokens."""
    var = var_pb.VarOptions(mode=var_pb.VAR_MODE_ON, detail=var_pb.VAR_DETAIL_MAPS)
    parts = [pb.Part(image=pb.Image(data=PICTURE)), pb.Part(text="Describe the image.")]
    request = pb.GenerateRequest(
        messages=[pb.Message(role=pb.ROLE_USER, parts=parts)],
        options=pb.GenerateOptions(max_tokens=tokens, ignore_eos=True),
    )
    return pb.CompareRequest(request=request, settings=[var] * 8)


def maps(server: ServerProcess, size: Size) -> str:
    with grpc.insecure_channel(server.address) as channel:  # which takes messages of 4 MiB
        largest = 0
        try:
            for reply in VisionLanguageStub(channel).Compare(compare_maps(size.tokens)):
                largest = max(largest, reply.ByteSize())
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return f"OK, the largest message has {largest / MIB:.2f} MiB"


def step_milliseconds(server: ServerProcess, callers: int, tokens: int, **options: float) -> float:
    """Time between tokens of so many callers at once, median of their medians."""

    def gaps() -> float:
        stub = Caller(server.address).stub
        times = []
        for response in stub.Answer(answer("What is in the image?", max_tokens=tokens, ignore_eos=True, **options)):
            if response.WhichOneof("event") == "delta":
                times += [time.monotonic()] * len(response.delta.token_ids)
        return (times[-1] - times[tokens // 4]) / (len(times) - 1 - tokens // 4)

    return 1000 * statistics.median(together(*[gaps] * callers))


def sampling(server: ServerProcess, size: Size) -> str:
    greedy, sampled = [], []
    tokens = max(40, size.tokens // 4)
    for _ in range(3):
        greedy.append(step_milliseconds(server, 16, tokens))
        sampled.append(step_milliseconds(server, 16, tokens, temperature=5.0, top_p=0.9))
    ratio = min(sampled) / min(greedy)
    return (
        f"a step of 16: greedy {min(greedy):.1f} ms, sampling at T = 5, top_p = 0.9 {min(sampled):.1f} ms, "
        f"{ratio:.2f} x"
    )


def one_caller(server: ServerProcess, size: Size) -> str:
    """The hostile caller fills the queue with long answers; the bystander is another one."""
    message = answer("Describe the image in detail.", max_tokens=1000, ignore_eos=True).SerializeToString()
    attack = functools.partial(call_raw, server.address, "Answer", message, HOSTILE, 15)
    codes = [code.split(":")[0] for code in together(*[attack] * size.requests)]
    return ", ".join(f"{codes.count(code)} {code}" for code in sorted(set(codes)))


def deadlines(server: ServerProcess, size: Size) -> str:
    message = answer("Describe the image.", max_tokens=1000, ignore_eos=True).SerializeToString()
    together(*[lambda: call_raw(server.address, "Answer", message, timeout=0.5)] * 5)
    time.sleep(1)
    counted = {"DEADLINE_EXCEEDED": 0, "CANCELLED": 0}
    for line in server.scrape().splitlines():
        for code in counted:
            if re.match(rf'varserve_requests_total{{.*code="{code}"', line):
                counted[code] += int(float(line.rsplit(" ", 1)[1]))
    return "5 missed deadlines counted as " + ", ".join(f"{n} {code}" for code, n in counted.items())


def hidden_queue(server: ServerProcess, size: Size) -> str:
    """Requests that wait for a worker, as the signals for scaling see them."""
    message = about_large_picture(size).SerializeToString()
    seen = [0.0]

    def look() -> str:
        for _ in range(20):
            time.sleep(0.1)
            waiting = [
                float(line.rsplit(" ", 1)[1])
                for line in server.scrape().splitlines()
                if line.startswith("varserve_requests_waiting{")
            ]
            seen[0] = max(seen[0], *waiting)
        return ""

    together(look, *[lambda: call_raw(server.address, "Answer", message)] * size.requests)
    return f"{size.requests} requests with large pictures at once: requests_waiting reached {seen[0]:.0f}"


def log(server: ServerProcess, size: Size) -> str:
    return blocked_log(server, answer("What is it?", temperature=-1.0).SerializeToString(), size.refused)


def start(server: ServerProcess, size: Size) -> str:
    return failed_start(server)


def container(server: ServerProcess, size: Size) -> str:
    return in_container(server, about_large_picture(size).SerializeToString())


CASES = {
    "text": Case("four questions of 20 MB", long_text, limits=Limits(seconds=10)),
    "special": Case(
        'four questions of 4000 "</s>", Llama tokenizer', special_tokens, model="tiny_llama", limits=Limits(seconds=5)
    ),
    "messages": Case("four requests of 16 MB of empty messages", empty_messages, limits=Limits(seconds=10)),
    "pictures": Case(
        "four rotated PNGs of 8000 x 8000 RGBA", pictures, tokens=True, limits=Limits(seconds=60, grown=350 * MIB)
    ),
    "uploads": Case(
        "four stalled uploads of 62 MB without a token", uploads, tokens=True, limits=Limits(grown=40 * MIB)
    ),
    "connections": Case(
        "100 idle connections to /metrics, half of them with half a request", connections, limits=Limits(seconds=15)
    ),
    "maps": Case(
        "maps for 8 settings, 400 tokens each", maps, limits=Limits(seconds=240, grown=200 * MIB, bystander=30)
    ),
    "sampling": Case("16 callers that sample", sampling, bystander=False, limits=Limits(seconds=240)),
    "one_caller": Case(
        "one caller asks for 64 long answers", one_caller, tokens=True, limits=Limits(seconds=60, bystander=15)
    ),
    "deadlines": Case("five missed deadlines", deadlines, bystander=False),
    "log": Case("2000 rejected calls while the log is not read", log, piped=True, limits=Limits(seconds=30)),
    "start": Case("a failing startup while a client watches health", start, bystander=False),
    "container": Case(
        "two startups in 4 GiB, eight of the pictures in each", container, bystander=False, limits=Limits(seconds=240)
    ),
    "hidden_queue": Case(
        "64 requests waiting for a worker", hidden_queue, bystander=False, limits=Limits(seconds=240, grown=350 * MIB)
    ),
}
