// The linear kernel for processors that multiply pairs of bfloat16 (AVX512_BF16), twice as many a cycle as
// float32. Inputs of bfloat16 weights are rounded to bfloat16 for it, as every framework does that serves
// bfloat16; sums are float32. All else is as on AVX2.
#include "server/kernels/cpu_kernels.h"

#ifdef __AVX512BF16__
#include <immintrin.h>

#define VARSERVE_ISA avx512_bf16
#include "server/kernels/linear_start.h"
#include "server/kernels/vec.h"

namespace varserve::kernels {
namespace VARSERVE_ISA {

inline constexpr int kPairs = 16;
inline constexpr int kStep = 2 * kPairs;  // inputs of one instruction
// Inputs per partial sum. Each ends with a sum over lanes; a tile's rows stay in the L1 cache.
inline constexpr int kMaxKBlock = 2048;
// Weight rows at once where many rows pass over them: they stay in the L2 cache.
inline constexpr int kNBlock = 48;
inline constexpr int kFewRows = 16;

static void PackInputs(const float* x, int count, float* packed) {
  auto* out = reinterpret_cast<uint16_t*>(packed);
  for (int k = 0; k < count; k += kPairs) {
    const __mmask16 mask = count - k >= kPairs ? 0xffff : static_cast<__mmask16>((1U << (count - k)) - 1);
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + k));
    std::memcpy(out + k, &rounded, sizeof(rounded));
  }
  if ((count + kPairs - 1) / kPairs % 2 != 0)
    std::memset(out + (count + kPairs - 1) / kPairs * kPairs, 0, 2 * kPairs);
}

VARSERVE_INLINE __m512bh LoadStep(const uint16_t* p) {
  return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p));
}
VARSERVE_INLINE __m512bh LoadStep(const uint16_t* p, __mmask32 mask) {
  return reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(mask, p));
}
typedef float Wide __attribute__((vector_size(64)));
VARSERVE_INLINE Vec Halves(__m512 v) {
  const auto wide = reinterpret_cast<Wide>(v);
  return __builtin_shufflevector(wide, wide, 0, 1, 2, 3, 4, 5, 6, 7) +
         __builtin_shufflevector(wide, wide, 8, 9, 10, 11, 12, 13, 14, 15);
}

// Weights are fetched while those before them are computed, into the L2 cache, which waits for more lines at
// a time than the L1 cache does.
inline constexpr int kAhead = 16384;  // weights, at least
// Of 2^shift times that rows pass over a tile, each fetches its share of the one `ahead` weights further on.
struct Pass {
  int64_t ahead;
  int index;
  int shift;
};

// Adds rows x weights over inputs [0, count) to a ROWS x OUTS tile of y. Each output is one chain of
// operations, as in linear_kernel.h: sixteen lanes over a block of inputs, the sum of the lanes, added to the
// output.
template <int ROWS, int OUTS>
VARSERVE_INLINE void Tile(const uint16_t* x, int64_t x_stride, const uint16_t* w, int64_t w_stride, int count,
                          Pass pass, float* y, int64_t y_stride) {
  __m512 acc[ROWS][OUTS];
  for (auto& row : acc) {
    for (__m512& lanes : row) lanes = _mm512_setzero_ps();
  }
  const auto add = [&acc, x, x_stride ](int k, const __m512bh* weights) __attribute__((always_inline)) {
    for (int i = 0; i < ROWS; ++i) {
      const __m512bh inputs = LoadStep(x + i * x_stride + k);
      for (int j = 0; j < OUTS; ++j) acc[i][j] = _mm512_dpbf16_ps(acc[i][j], inputs, weights[j]);
    }
  };
  __m512bh weights[OUTS];
  const uint16_t* next = w + pass.ahead + (static_cast<int64_t>(count) * pass.index >> pass.shift);
  int k = 0;
  for (; k + kStep <= count; k += kStep) {
    for (int j = 0; j < OUTS; ++j) {
      __builtin_prefetch(next + j * w_stride + (k >> pass.shift), /*rw=*/0, /*locality=*/2);
      weights[j] = LoadStep(w + j * w_stride + k);
    }
    add(k, weights);
  }
  if (k < count) {
    const auto mask = static_cast<__mmask32>((1ULL << (count - k)) - 1);
    for (int j = 0; j < OUTS; ++j) weights[j] = LoadStep(w + j * w_stride + k, mask);
    add(k, weights);
  }
  for (int i = 0; i < ROWS; ++i, y += y_stride) {
    for (int j = 0; j + 4 <= OUTS; j += 4) {
      Quad out;
      std::memcpy(&out, y + j, sizeof(out));
      out += Sum4(Halves(acc[i][j]), Halves(acc[i][j + 1]), Halves(acc[i][j + 2]), Halves(acc[i][j + 3]));
      std::memcpy(y + j, &out, sizeof(out));
    }
    for (int j = OUTS / 4 * 4; j < OUTS; ++j) y[j] += Sum(Halves(acc[i][j]));
  }
}

template <int ROWS, int OUTS>
[[gnu::noinline]] static void Rows(const uint16_t* x, int64_t x_stride, const uint16_t* w, int64_t w_stride,
                                   int outs, int count, Pass pass, float* y, int64_t y_stride) {
  int n = 0;
  for (; n + OUTS <= outs; n += OUTS) {
    Tile<ROWS, OUTS>(x, x_stride, w + n * w_stride, w_stride, count, pass, y + n, y_stride);
  }
  for (; n < outs; ++n) Tile<ROWS, 1>(x, x_stride, w + n * w_stride, w_stride, count, pass, y + n, y_stride);
}

// ROWS x OUTS accumulators, the weights and an input fit the 32 registers.
static void Block(const uint16_t* x, int64_t x_stride, int rows, const uint16_t* w, int64_t w_stride,
                  int outs, int count, int64_t ahead, float* y, int64_t y_stride) {
  Pass pass{ahead, 0, 0};
  const int passes = (rows + 3) / 4 + (rows % 4 == 3);
  while (1 << pass.shift < passes) ++pass.shift;
  int m = 0;
  const auto take = [&]<int ROWS>() {
    for (; m + ROWS <= rows; m += ROWS, ++pass.index) {
      Rows<ROWS, 4>(x + m * x_stride, x_stride, w, w_stride, outs, count, pass, y + m * y_stride, y_stride);
    }
  };
  take.template operator()<4>();
  take.template operator()<2>();
  take.template operator()<1>();
}

static void LinearBFloat16(const LinearArgs& a, int row_begin, int row_end, int out_begin, int out_end) {
  const auto* w = static_cast<const uint16_t*>(a.w);
  const int rows = row_end - row_begin;
  const auto* x = reinterpret_cast<const uint16_t*>(a.x + row_begin * a.x_stride);
  const int64_t x_stride = 2 * a.x_stride;
  float* y = a.y + row_begin * a.y_stride;
  for (int m = 0; m < rows; ++m) StartOutputs(a, y + m * a.y_stride, out_begin, out_end);
  const int blocks = (a.in + kMaxKBlock - 1) / kMaxKBlock;
  const int k_block = ((a.in + blocks - 1) / blocks + kStep - 1) / kStep * kStep;
  // Few rows take few outputs at a time over all inputs: the weights stream through once, in long runs.
  const bool few = rows <= kFewRows;
  const int n_block = few ? 4 : kNBlock;
  const int64_t in = a.in;
  for (int n = out_begin; n < out_end; n += n_block) {
    for (int k = 0; k < a.in; k += k_block) {
      const int64_t ahead = few                  ? (kAhead / (4 * in) + 1) * 4 * in
                            : k + k_block < a.in ? k_block
                                                 : kNBlock * in - k;
      Block(x + k, x_stride, rows, w + n * in + k, in, Min(n_block, out_end - n), Min(k_block, a.in - k),
            ahead, y + n, a.y_stride);
    }
  }
}

static void Linear(const LinearArgs& a, int row_begin, int row_end, int out_begin, int out_end) {
  if (a.w_type == StorageType::kBFloat16) return LinearBFloat16(a, row_begin, row_end, out_begin, out_end);
  Avx2Kernels()->linear(a, row_begin, row_end, out_begin, out_end);
}

}  // namespace VARSERVE_ISA

const CpuKernels* Avx512Bf16Kernels() {
  const bool supported = Avx2Kernels() != nullptr && __builtin_cpu_supports("avx512bf16") &&
                         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512dq");
  if (!supported) return nullptr;
  static const CpuKernels kKernels = [] {
    CpuKernels kernels = *Avx2Kernels();
    kernels.name = "avx512_bf16";
    kernels.pack_inputs = avx512_bf16::PackInputs;
    kernels.rounds_inputs = true;
    kernels.linear = avx512_bf16::Linear;
    return kernels;
  }();
  return &kKernels;
}

}  // namespace varserve::kernels
#else
namespace varserve::kernels {
const CpuKernels* Avx512Bf16Kernels() { return nullptr; }
}  // namespace varserve::kernels
#endif
