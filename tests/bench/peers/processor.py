"""Which processor this is."""

import pathlib

# What distinguishes processors here, the fastest first: flag of /proc/cpuinfo, name.
SETS = (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512_BF16"), ("avx512f", "AVX-512"), ("avx2", "AVX2"))


def cpuinfo() -> dict[str, str]:
    """Of the first processor."""
    first = pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def flags() -> set[str]:
    return set(cpuinfo()["flags"].split())


def kind() -> str:
    """Such as "AMD EPYC, family 25 model 1, AVX2"."""
    info = cpuinfo()
    best = next((name for flag, name in SETS if flag in flags()), "no AVX2")
    return f"{info['model name']}, family {info['cpu family']} model {info['model']}, {best}"
