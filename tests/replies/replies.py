"""Records what a server replies to 200 fixed requests: all VAR modes, variants, presets and details, maps,
log-probabilities, sampling, several pictures, conversations. Two recordings by one machine are equal, byte for byte,
if nothing that a caller sees has changed. With --compare: compares two recordings, and ends with 1 if they differ."""

import argparse
import concurrent.futures
import json
import pathlib
import sys
from typing import TYPE_CHECKING

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("bench", "gpu", "testing")]

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from varserve_api import VisionLanguageStub

CALLERS = 8
# What differs from run to run: names, times, and how far others had come.
TRANSIENT = {"request_id", "timing", "cached_tokens", "server_version"}


def steady(message: "Message") -> dict:
    """The message without what differs from run to run."""
    from google.protobuf import json_format

    def without(value: object) -> object:
        if isinstance(value, dict):
            return {key: without(inner) for key, inner in value.items() if key not in TRANSIENT}
        return [without(inner) for inner in value] if isinstance(value, list) else value

    return without(json_format.MessageToDict(message, preserving_proto_field_name=True))


def reply(stub: "VisionLanguageStub", request: "Message") -> dict:
    """Started and Finished as they are; the deltas, which are cut by time, as one."""
    whole: dict = {"text": "", "token_ids": [], "logprobs": []}
    for response in stub.Generate(request):
        kind = response.WhichOneof("event")
        event = steady(getattr(response, kind))
        if kind == "delta":
            for field in ("text", "token_ids", "logprobs"):
                whole[field] += event.get(field, type(whole[field])())
        else:
            whole[kind] = event
    return whole


def record(build: pathlib.Path, model: pathlib.Path, flags: list[str]) -> list[dict]:
    import grpc

    from mixed_requests import mixed_requests
    from varserve_api import VisionLanguageStub, pb
    from varserve_client import Server

    requests = mixed_requests(200)
    for number, request in enumerate(requests):
        if number % 5 == 0:
            request.options.temperature, request.options.top_p, request.options.seed = (
                0.8,
                (0.9, 0.2)[number % 2],
                number,
            )
    server = Server(build, model, "--max_map_bytes", "16000000", *flags)
    with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
        stub = VisionLanguageStub(grpc.insecure_channel(server.address))
        replies = [steady(stub.GetModel(pb.GetModelRequest()))]
        replies += pool.map(lambda request: reply(stub, request), requests)
    server.stop()
    return replies


def difference(a: object, b: object, where: str = "") -> str | None:
    """The first place at which two replies differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        pairs = [(a.get(key), b.get(key), f"{where}.{key}") for key in sorted({*a, *b})]
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        pairs = [(x, y, f"{where}[{i}]") for i, (x, y) in enumerate(zip(a, b, strict=False))]
    else:
        return None if a == b else f"{where}: {a!r} and {b!r}"
    return next((found for pair in pairs if (found := difference(*pair))), None)


def compare(paths: list[pathlib.Path]) -> int:
    recordings = [path.read_text().splitlines() for path in paths]
    if len(recordings[0]) != len(recordings[1]):
        print(f"{len(recordings[0])} and {len(recordings[1])} replies")
        return 1
    differing = 0
    for number, (one, other) in enumerate(zip(*recordings, strict=False)):
        if one != other:
            differing += 1
            print(f"reply {number}{difference(json.loads(one), json.loads(other))}")
    print(f"{len(recordings[0]) - differing} of {len(recordings[0])} replies are equal")
    return int(differing > 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, help="build folder of the server")
    parser.add_argument("--model", "--embedded", type=pathlib.Path, help="model directory")
    parser.add_argument("--out", type=pathlib.Path, help="file for the recording, a line of JSON per reply")
    parser.add_argument("--compare", type=pathlib.Path, nargs=2, metavar="FILE", help="two recordings")
    parser.add_argument("flags", nargs="*", help="flags of the server, after --")
    args = parser.parse_args()
    if args.compare:
        return compare(args.compare)
    if not (args.build and args.model and args.out):
        parser.error("--build, --model and --out are needed")
    replies = record(args.build, args.model, args.flags)
    args.out.write_text("".join(json.dumps(one, sort_keys=True) + "\n" for one in replies))
    return 0


if __name__ == "__main__":
    sys.exit(main())
