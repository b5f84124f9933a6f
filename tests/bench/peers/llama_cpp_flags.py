"""Prints the flags that build llama.cpp for this processor.

Not GGML_NATIVE, which would switch AMX on: its Q8_0 kernel ended with an illegal instruction on a Xeon (the sources of
0.3.36).
"""

import processor

OF_SET = {
    "avx512f": "AVX512",
    "avx512_vbmi": "AVX512_VBMI",
    "avx512_vnni": "AVX512_VNNI",
    "avx512_bf16": "AVX512_BF16",
    "avx2": "AVX2",
    "fma": "FMA",
    "f16c": "F16C",
    "bmi2": "BMI2",
    "avx": "AVX",
    "sse4_2": "SSE42",
}

if __name__ == "__main__":
    has = processor.flags()
    print("-DGGML_NATIVE=OFF", *(f"-DGGML_{name}={'ON' if flag in has else 'OFF'}" for flag, name in OF_SET.items()))
