"""The table of benchmarks: one module each."""

from __future__ import annotations

from varserve.evaluation.benchmark import Benchmark
from varserve.evaluation.benchmarks.amber import AMBER_DISCRIMINATIVE, AMBER_GENERATIVE
from varserve.evaluation.benchmarks.chair import CHAIR
from varserve.evaluation.benchmarks.cv_bench import CV_BENCH
from varserve.evaluation.benchmarks.gqa import GQA
from varserve.evaluation.benchmarks.hallusion_bench import HALLUSION_BENCH
from varserve.evaluation.benchmarks.mm_vet import MM_VET
from varserve.evaluation.benchmarks.mme import MME
from varserve.evaluation.benchmarks.mmvp import MMVP
from varserve.evaluation.benchmarks.pope import POPE
from varserve.evaluation.benchmarks.vqa import TEXTVQA, VIZWIZ, VQAV2

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        POPE,
        CHAIR,
        AMBER_DISCRIMINATIVE,
        AMBER_GENERATIVE,
        HALLUSION_BENCH,
        MME,
        VQAV2,
        GQA,
        VIZWIZ,
        TEXTVQA,
        MM_VET,
        MMVP,
        CV_BENCH,
    )
}
