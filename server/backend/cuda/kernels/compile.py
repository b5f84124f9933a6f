"""Compiles the kernels ahead of time, without a GPU, and writes compiled.tar.xz and manifest.json next to this file.

Run it as ./dev kernels. PTX is written for each target: a driver assembles it as the kernel is loaded, and keeps the
result. That for sm_80 serves every newer card that has no target of its own. Triton's assembler tries each here.
"""

import concurrent.futures
import hashlib
import io
import json
import lzma
import pathlib
import tarfile

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from variants import variants

FOLDER = pathlib.Path(__file__).parent
# Compute capability, and the newest PTX that its oldest driver reads.
TARGETS = {80: 80, 90: 80, 100: 87}


def first_of(constants: dict[str, int], *names: str) -> int:
    """0 if there is none of them."""
    return next((constants[name] for name in names if name in constants), 0)


def compile_variant(name: str, capability: int) -> tuple[str, dict[str, object], str]:
    variant = next(v for v in variants() if v.name == name)
    source = ASTSource(
        fn=variant.function,
        signature=variant.signature | dict.fromkeys(variant.constants, "constexpr"),
        constexprs=variant.constants,
        attrs=variant.attributes(),
    )
    options = {
        "num_warps": variant.num_warps,
        "num_stages": variant.num_stages,
        "ptx_version": TARGETS[capability],
        "enable_fp_fusion": True,
    }
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    constants = variant.constants
    facts = {
        "entry": compiled.metadata.name,
        "threads": 32 * compiled.metadata.num_warps,
        "shared_bytes": compiled.metadata.shared,
        "arguments": "".join(variant.letters()),
        "lanes": first_of(constants, "M", "GP", "DIMENSIONS", "MAXIMA"),
        "slots": first_of(constants, "N", "BLOCK"),
    }
    return name, facts, compiled.asm["ptx"]


def without_debug_information(ptx: str) -> str:
    """Line numbers, which are half of the text and name this machine's folders."""
    kept = []
    skipping = False
    for line in ptx.splitlines():
        skipping = skipping or line.lstrip().startswith(".section")
        if not skipping and not line.lstrip().startswith((".loc", ".file", "//", "$L__tmp")):
            kept.append(line)
        if skipping and line.strip() == "}":
            skipping = False
    return "\n".join(kept) + "\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive(files: dict[str, str]) -> bytes:
    """The same bytes for the same files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return lzma.compress(stream.getvalue(), preset=9)


def main() -> None:
    names = [variant.name for variant in variants()]
    files: dict[str, str] = {}
    kernels: dict[str, dict[str, object]] = {}
    with concurrent.futures.ProcessPoolExecutor() as pool:
        for capability in TARGETS:
            for name, facts, ptx in pool.map(compile_variant, names, [capability] * len(names)):
                files[f"sm_{capability}/{name}.ptx"] = without_debug_information(ptx)
                kernels.setdefault(name, {})[f"sm_{capability}"] = facts
            print(f"sm_{capability}: {len(names)} kernels", flush=True)
    compiled = archive(files)
    (FOLDER / "compiled.tar.xz").write_bytes(compiled)
    manifest = {
        "triton": triton.__version__,
        "sources": {path.name: sha256(path.read_bytes()) for path in sorted(FOLDER.glob("*.py"))},
        "compiled.tar.xz": sha256(compiled),
        "kernels": kernels,
    }
    (FOLDER / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"compiled.tar.xz: {len(compiled) / 1e6:.2f} MB, {sum(map(len, files.values())) / 1e6:.1f} MB unpacked")


if __name__ == "__main__":
    main()
