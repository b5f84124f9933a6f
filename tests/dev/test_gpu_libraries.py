"""Which machines ./dev uses the GPU of: scripts/gpu_libraries.sh, with a made-up driver and no download."""

import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = """
set -euo pipefail
say() { echo "$*"; }
ensure_libtorch_cuda() { LIBTORCH_CUDA=/libraries; }
source "$1"
NVIDIA_DRIVER=$2
use_gpu "${@:3}"
echo "path=${LD_LIBRARY_PATH:-}"
"""
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Sun Jul 27 07:09:58 UTC 2025\nGCC version:  gcc 12.2.0\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (dvs-builder@U22)\n"


class UseGpuTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def use_gpu(self, driver: str | None, *flags: str, answer: str = "") -> str:
        version = self.folder / "version"
        if driver is not None:
            version.write_text(driver)
        environment = {"PATH": os.environ["PATH"], "CACHE": str(self.folder), "VARSERVE_GPU": answer}
        command = ["bash", "-c", SCRIPT, "bash", ROOT / "scripts" / "gpu_libraries.sh", version, *flags]
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_without_a_driver(self) -> None:
        self.assertEqual(self.use_gpu(None, answer="yes"), "path=\n")

    def test_with_a_driver(self) -> None:
        for text in (CLOSED, OPEN):
            for version in ("580.65.06", "595.10"):
                with self.subTest(text=text, version=version):
                    self.assertEqual(self.use_gpu(text.format(version), answer="yes"), "path=/libraries/lib\n")

    def test_an_old_driver_is_one_line(self) -> None:
        expected = "using the CPU: the NVIDIA driver is 535.183, and CUDA 13 needs 580 or later\npath=\n"
        self.assertEqual(self.use_gpu(CLOSED.format("535.183.01"), answer="yes"), expected)

    def test_the_cpu_by_flag(self) -> None:
        for flags in (("--device", "cpu"), ("--model", "x", "--device=cpu")):
            self.assertEqual(self.use_gpu(OPEN.format("580.65.06"), *flags, answer="yes"), "path=\n")

    def test_nobody_to_ask(self) -> None:
        self.assertIn("set VARSERVE_GPU=yes", self.use_gpu(OPEN.format("580.65.06")))
        (self.folder / "use-gpu").write_text("yes\n")
        self.assertEqual(self.use_gpu(OPEN.format("580.65.06")), "path=/libraries/lib\n")
        self.assertEqual(self.use_gpu(OPEN.format("580.65.06"), answer="no"), "path=\n")


if __name__ == "__main__":
    unittest.main()
