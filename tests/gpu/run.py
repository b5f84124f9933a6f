"""Everything that a machine with a GPU can say about the server,
in one run of a few minutes: is it right there, how fast is it.

Runs from the bundle that ./dev gpu --bundle makes, with any Python from 3.11 on that has torch, grpcio, protobuf, numpy
and pillow (and transformers, for the comparison). Every step is a program of its own, with a limit of time on a GPU;
after every result the files gpu.json and gpu.md in the output folder are complete, and what has not run is named in
them. --device cpu --scale tiny tries all of it on any machine.
"""

import argparse
import contextlib
import dataclasses
import importlib.util
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import TextIO

from report import Report, StepReport

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODELS_BYTES = 20 << 30  # of all models that are made


@dataclasses.dataclass(frozen=True)
class Step:
    title: str
    command: tuple[str, ...]
    limit: float  # seconds
    needs_models: bool = True


# In the order of their worth.
STEPS = {
    "card": Step("The card", ("card.py",), 45, needs_models=False),
    "backend": Step("Kernels of the cuda backend against the torch backend", ("backend.py",), 40, needs_models=False),
    "component": Step("Component tests on the device", ("component.py",), 100, needs_models=False),
    "parity": Step("Answers of the device and of the CPU, float32, embedded model's shape", ("parity.py", "cpu"), 100),
    "backends": Step("Answers of the cuda and the torch backend, bfloat16, the same model", ("parity.py", "torch"), 40),
    "seven_billion": Step("LLaVA-1.5-7B's shape, random weights", ("speed.py", "seven_billion", "cuda", "none"), 90),
    "embedded": Step("Embedded model's shape, random weights", ("speed.py", "embedded", "cuda", "none"), 45),
    "seven_billion_torch": Step("The same 7B on the torch backend", ("speed.py", "seven_billion", "torch", "none"), 90),
    "transformers": Step("transformers on the same 7B", ("peer.py",), 75),
    "seven_billion_int8": Step("The same 7B in 8 bits", ("speed.py", "seven_billion", "cuda", "int8"), 90),
    "cpu_kernels": Step("The CPU's kernels on this machine's processor", ("cpu_kernels.py",), 30, needs_models=False),
    "tiles": Step("Decoding attention with other tiles", ("tiles.py",), 60, needs_models=False),
    "kernels": Step("Kernels of a decode step of the 7B", ("kernels.py",), 75),
}
LEAST_SECONDS = 10  # a step for which less is left does not begin


def environment(work: pathlib.Path) -> dict[str, str]:
    """For the steps' programs: the Python package, benchmarks' modules, LibTorch for the server, the driver's cache."""
    # Importing torch would take seconds.
    spec = importlib.util.find_spec("torch")
    if spec is None:
        sys.exit(f"{sys.executable} has no torch")
    lib = pathlib.Path(spec.submodule_search_locations[0], "lib")
    folders = [ROOT / "python", *(ROOT / "tests" / name for name in ("bench", "testing")), os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(str(folder) for folder in folders if folder)
    return os.environ | {
        "PYTHONPATH": path,
        "VARSERVE_TORCH_LIB": str(lib),
        "CUDA_CACHE_PATH": str(work / "cuda_cache"),
    }


def roomy_folder() -> str | None:
    """Memory, if the models fit there twice; else where temporary files go."""
    shared = pathlib.Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > 2 * MODELS_BYTES else None


class Run:
    def __init__(self, args: argparse.Namespace, work: pathlib.Path) -> None:
        self._on_gpu, self._budget = args.device == "cuda", args.budget
        self._end = time.monotonic() + args.budget
        self._arguments = ["--device", args.device, "--scale", args.scale, "--work", str(work), "--out", str(args.out)]
        self._environment = environment(work)
        self._log = (args.out / "log.txt").open("a", buffering=1)
        revision = (ROOT / "REVISION").read_text().strip()
        about = {"revision": revision, "device": args.device, "scale": args.scale, "python": sys.version.split()[0]}
        self.report = Report(args.out, {name: StepReport(step.title) for name, step in STEPS.items()}, about)
        self._models = self._start(("models.py",), stdout=self._log)

    def _start(self, command: tuple[str, ...], stdout: int | TextIO) -> subprocess.Popen:
        program = [sys.executable, str(HERE / command[0]), *command[1:], *self._arguments]
        return subprocess.Popen(
            program, env=self._environment, stdout=stdout, stderr=self._log, text=True, process_group=0
        )

    def _wait_for_models(self) -> bool:
        try:
            return self._models.wait(max(0, min(90, self._end - time.monotonic()))) == 0
        except subprocess.TimeoutExpired:
            return False

    def step(self, name: str) -> None:
        step, result = STEPS[name], self.report.steps[name]
        if step.needs_models and not self._wait_for_models():
            result.status = "not run: the models could not be made in time"
            return
        limit = min(step.limit if self._on_gpu else self._budget, self._end - time.monotonic())
        if limit < LEAST_SECONDS:
            result.status = "not run: no time left"
            return
        result.status = "running"
        self.report.write()
        print(f"{step.title} ...", flush=True)
        print(f"--- {name}", file=self._log)
        begin = time.monotonic()
        process = self._start(step.command, stdout=subprocess.PIPE)
        timer = threading.Timer(limit, _kill, [process])
        timer.start()
        for line in process.stdout:
            try:
                result.take(line)
            except (ValueError, KeyError, TypeError):  # something else a library printed
                self._log.write(line)
            self.report.write()
        code = process.wait()
        timed_out = not timer.is_alive()
        timer.cancel()
        _kill(process)  # a server it may have left
        result.seconds = time.monotonic() - begin
        result.status = (
            "done" if code == 0 else f"cut off after {limit:.0f} s" if timed_out else f"failed ({code}), see log.txt"
        )
        self.report.write()

    def close(self) -> None:
        if self._models.poll() is None:
            _kill(self._models)
        self._log.close()


def _kill(process: subprocess.Popen) -> None:
    """With everything it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for gpu.json, gpu.md and logs")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="default: %(default)s")
    parser.add_argument("--scale", choices=("full", "tiny"), default="full", help="tiny: small models, few requests")
    parser.add_argument(
        "--budget", type=float, default=340, metavar="SECONDS", help="for everything (default: %(default)s)"
    )
    parser.add_argument(
        "--steps", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP", help=f"of {', '.join(STEPS)}"
    )
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="varserve_gpu_", dir=roomy_folder()) as work:
        run = Run(args, pathlib.Path(work))
        run.report.write()
        try:
            for name in args.steps:
                run.step(name)
        finally:
            run.close()
            run.report.write()
            print(run.report.markdown(), flush=True)


if __name__ == "__main__":
    main()
