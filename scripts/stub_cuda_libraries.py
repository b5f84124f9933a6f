"""Make torch's CUDA wheel importable without the CUDA libraries it links against (3 GB), for runs on a CPU.

Puts empty libraries with the right names, versions and symbols beside torch's own. The small ones, libcudart and
libcupti, have to be real: the wheels nvidia-cuda-runtime and nvidia-cuda-cupti.
usage: stub_cuda_libraries.py SITE_PACKAGES
"""

import collections
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable

STUBBED = (
    r"lib(cublas|cublasLt|cudnn|cufft|cufile|cusparse|cusparseLt|cusolver|nccl|nvrtc|nvshmem_host|nvJitLink|curand)"
    r"\.so\.\d+"
)
PREFIXES = r"(cublas|cudnn|cufft|cusparse|cusolver|nccl|nvrtc|cuFile|nvshmem|nvJitLink|curand)"


def output_of(*command: str | pathlib.Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def needs(libraries: Iterable[pathlib.Path]) -> tuple[set[str], dict[str, set[str]], dict[str, set[str]]]:
    """Names of the libraries to stub, their symbol versions, and the symbols of each version."""
    names, versions, symbols = set(), collections.defaultdict(set), collections.defaultdict(set)
    for library in libraries:
        names |= {m.group(0) for m in re.finditer(STUBBED, output_of("readelf", "-d", library))}
        current = None
        for line in output_of("readelf", "-VW", library).splitlines():
            if m := re.search(r"File: (\S+)", line):
                current = m.group(1)
            if (m := re.search(r"Name: (\S+)\s+Flags", line)) and current and re.fullmatch(STUBBED, current):
                versions[current].add(m.group(1))
        for line in output_of("nm", "-D", "--undefined-only", library).splitlines():
            symbol, _, version = line.split()[-1].partition("@")
            if version or re.match(PREFIXES, symbol):
                symbols[version].add(symbol)
    return names | set(versions), versions, symbols


def make_stub(path: pathlib.Path, versions: list[str], symbols: dict[str, set[str]]) -> None:
    used = sorted(set().union(*(symbols[v] for v in versions)) if versions else symbols[""])
    with tempfile.TemporaryDirectory() as scratch:
        source, script = pathlib.Path(scratch, "stub.c"), pathlib.Path(scratch, "stub.map")
        source.write_text("".join(f"void {s}(void) {{ __builtin_trap(); }}\n" for s in used))
        command = ["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{path.name}", "-o", path, source]
        if versions:
            script.write_text(
                "".join(
                    f"{v} {{ global: {' '.join(s + ';' for s in sorted(symbols[v])) or 'none;'} }};\n" for v in versions
                )
            )
            command.append(f"-Wl,--version-script={script}")
        subprocess.run(command, check=True)


def main() -> None:
    torch_lib = pathlib.Path(sys.argv[1], "torch", "lib")
    libraries = [p for pattern in ("lib*torch*.so", "libc10*.so") for p in torch_lib.glob(pattern)]
    names, versions, symbols = needs(libraries)
    for name in sorted(names):
        make_stub(torch_lib / name, sorted(versions[name]), symbols)


if __name__ == "__main__":
    main()
