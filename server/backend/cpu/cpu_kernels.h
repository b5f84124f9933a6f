// The CPU's inner loops on raw pointers, without torch: linear layers, norms, rotary embedding, attention
// rows, and the softmax for sampling.
//
// Activations are always float32. Weights and the KV cache are stored as float32, bfloat16 or float16 and
// widened in registers, so that a step costs one pass over the stored bytes and loses no precision beyond the
// storage; weights also with 8 or 4 bits. On processors with AVX-512, inputs of bfloat16 and quantized linear
// layers are rounded to bfloat16; without it, inputs of quantized ones to 16 bits. Every function computes a
// range of independent pieces; callers split ranges over threads. A piece's result depends only on its own
// inputs, bit for bit: not on the range, other rows or threads.
//
// All functions are thread-safe if their outputs do not overlap. Pointers need no alignment. Shapes: R rows,
// K inputs, N outputs, C width, H heads, Hkv KV heads, D head size, L decoder layers.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "server/backend/cpu/quantized_panels.h"
#include "server/interventions/attention_row.h"

namespace varserve::backend::cpu {

using interventions::AttentionRow;
using interventions::RowSums;

enum class StorageType : uint8_t { kFloat32, kBFloat16, kFloat16 };

// y = x W^T + bias, or y += x W^T + bias.
struct LinearArgs {
  const float* x = nullptr;     // [R, K], rows x_stride apart; for bfloat16 weights the output of pack_inputs
  const void* w = nullptr;      // [N, K] of w_type, contiguous; bfloat16 in panels if the kernels read panels
  const float* bias = nullptr;  // [N] or null
  float* y = nullptr;           // [R, N], rows y_stride apart
  int64_t x_stride = 0;
  int64_t y_stride = 0;
  int rows = 0;
  int in = 0;   // K
  int out = 0;  // N
  StorageType w_type = StorageType::kFloat32;
  bool accumulate = false;
};

// The same with quantized weights: for each group of inputs, the products with the weights' integers are
// added up, exactly or as a bfloat16 layer's, and the sum times the scale is added to y.
struct QuantizedLinearArgs {
  const float* x = nullptr;  // [R, K], rows x_stride apart, the output of pack_groups
  QuantizedWeights w;
  const float* bias = nullptr;  // [N] or null
  float* y = nullptr;           // [R, N], rows y_stride apart
  int64_t x_stride = 0;
  int64_t y_stride = 0;
  bool accumulate = false;
};

// y = x / sqrt(mean(x^2) + eps) * weight, row by row, and phi of each row (docs/var.md, "Sinks").
struct RmsNormArgs {
  const float* x = nullptr;       // [R, C]
  const float* weight = nullptr;  // [C]
  float* y = nullptr;             // [R, C]
  int width = 0;                  // C
  float eps = 0.0F;
  // D_sink, and where to write phi; no phi if num_sink_dimensions is 0.
  const int32_t* sink_dimensions = nullptr;
  int num_sink_dimensions = 0;
  const int64_t* slots = nullptr;  // [R] row -> slot in the KV pool
  float* phi = nullptr;            // plane p, slot s: phi[p * phi_plane_stride + s]
  int64_t phi_plane_stride = 0;
  float phi_eps[2] = {0.0F, 0.0F};  // for each plane
};

// Rotates q and k of packed [q | k | v] rows; leaves q in place and writes k and v into the KV pool.
struct RopeStoreArgs {
  float* qkv = nullptr;            // [R, (H + 2 Hkv) D]
  const float* cos = nullptr;      // [R, D / 2]
  const float* sin = nullptr;      // [R, D / 2]
  const int64_t* slots = nullptr;  // [R] slot in the pool: block * block_size + offset
  void* k_pool = nullptr;          // [blocks, Hkv, block_size, D] of kv_type
  void* v_pool = nullptr;
  StorageType kv_type = StorageType::kFloat32;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int block_size = 0;
};

// y[r, i] = silu(x[r, i]) * x[r, I + i]
struct SiluMulArgs {
  const float* x = nullptr;  // [R, 2 I]
  float* y = nullptr;        // [R, I]
  int width = 0;             // I
};

struct AttentionSequence {
  const int32_t* blocks = nullptr;  // block table
  const float* visual = nullptr;    // [slots, rounded up to whole blocks] 1 for a visual token, else 0
  int32_t empty_begin = 0;          // slots [empty_begin, empty_end) hold no token; rows end after them
  int32_t empty_end = 0;
};

// What one head of a row sees of the picture.
struct HeadLook {
  float score = 0.0F;   // sum of its scores on visual tokens
  float visual = 0.0F;  // its attention on them
};

struct AttentionArgs {
  const float* q = nullptr;  // [R, H, D], rows q_stride apart, rotated; rounded to bfloat16 if inputs are
  int64_t q_stride = 0;
  const void* k_pool = nullptr;  // [blocks, Hkv, block_size, D] of kv_type
  const void* v_pool = nullptr;
  const float* phi = nullptr;  // [2, blocks * block_size], planes phi_plane_stride apart
  int64_t phi_plane_stride = 0;
  StorageType kv_type = StorageType::kFloat32;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int block_size = 0;  // a multiple of eight
  int num_rows = 0;    // R
  int layer = 0;
  float scale = 1.0F;                  // of q k
  const AttentionRow* rows = nullptr;  // [R]
  const AttentionSequence* sequences = nullptr;
  float* out = nullptr;  // [R, H, D], rows out_stride apart
  int64_t out_stride = 0;
  RowSums* sums = nullptr;    // [R, Hkv]; written only for rows that are changed in this layer
  HeadLook* looks = nullptr;  // [R, H]; of rows whose heads are suppressed, instead of sums
  // Attention before and after the change, summed over the group's heads and added to maps[row.map][kv_head]:
  // two runs of map_slots values. Only for maps with the flag set, which average this layer.
  float* maps = nullptr;               // [maps, Hkv, 2, map_slots]
  const uint8_t* map_flags = nullptr;  // [maps]
  int64_t map_slots = 0;
};

// Most floats in a row written by pack_inputs.
inline int PackedInputs(int count) { return (count + 15) / 16 * 16; }

// Minimum number of queries to compute together, if enough rows see the same K and V.
inline constexpr int kAttentionTile = 3;

// Floats of scratch memory per thread for rows that see up to max_slots slots.
inline int64_t AttentionScratch(const AttentionArgs& a, int max_slots) {
  const int64_t padded = (max_slots + a.block_size - 1) / a.block_size * a.block_size;
  const int group = a.heads / a.kv_heads;
  const int vectors = group > kAttentionTile ? group : kAttentionTile;
  return (vectors + 1) * padded + vectors * PackedInputs(a.head_dim);
}

struct CpuKernels {
  const char* name;
  // Converts one row of `count` inputs to the form that the bfloat16 linear kernel reads, at most
  // PackedInputs(count) floats: for each sixteen inputs the even ones, then the odd ones; or rounded to
  // bfloat16, up to a multiple of 32. Padding is 0.
  void (*pack_inputs)(const float* x, int count, float* packed);
  // Converts one row of a quantized layer's inputs, to at most packed_inputs(K) floats: each group's to
  // integers of 16 bits, multiples of a power of two (group_inputs.h), or as pack_inputs does. One that is
  // not finite makes the row's outputs not finite.
  void (*pack_groups)(const float* x, const QuantizedShape& shape, float* packed);
  bool rounds_inputs;  // to bfloat16, if weights are bfloat16
  // Floats from one packed row to the next: an odd number of cache lines, so that rows which are read
  // together do not compete for the same sets of a cache. Bfloat16 takes half of them.
  int packed_inputs(int count) const {
    constexpr int kLine = 16;
    const int floats = rounds_inputs ? (count + 1) / 2 : count;
    return ((floats + kLine - 1) / kLine | 1) * kLine;
  }
  bool reads_panels;  // bfloat16 weights in the layout of weight_panels.h
  // Outputs [out_begin, out_end) of rows [row_begin, row_end).
  void (*linear)(const LinearArgs&, int row_begin, int row_end, int out_begin, int out_end);
  // Panels [panel_begin, panel_end) of outputs.
  void (*linear_quantized)(const QuantizedLinearArgs&, int row_begin, int row_end, int panel_begin,
                           int panel_end);
  void (*rms_norm)(const RmsNormArgs&, int row_begin, int row_end);
  void (*rope_store)(const RopeStoreArgs&, int row_begin, int row_end);
  void (*silu_mul)(const SiluMulArgs&, int row_begin, int row_end);
  // Piece i is row i % R and KV head i / R with its H / Hkv heads: rows that share K and V find them in the
  // cache. `scratch`: see AttentionScratch.
  void (*attention)(const AttentionArgs&, float* scratch, int piece_begin, int piece_end);
  // weights[i] = exp((logits[i] - largest) / temperature) for `count` logits, none above `largest`. Returns
  // their sum. `weights` may be null.
  double (*softmax_weights)(const float* logits, int count, float largest, float temperature,
                            double* weights);
  // Attention weights of one query that are not divided by their sum, which is returned: exp((score -
  // largest) scale) of `count` scores, rounded as pack_inputs does, with zeros up to `padded`, a multiple
  // of 32. Null unless reads_panels.
  float (*attention_weights)(const float* scores, int count, float scale, int padded,
                             float* packed) = nullptr;
};

// The kernels of this process: the fastest that the processor can run, if UseCpuKernels() chose no others.
const CpuKernels& GetCpuKernels();

// Call it before anything else uses kernels: weights are laid out for those in use.
void UseCpuKernels(const CpuKernels& kernels);

struct InstructionSet {
  const char* name;
  const CpuKernels* kernels;  // null if the processor or the operating system lacks it
  bool refused = false;       // the processor has it, and the operating system does not let processes use it
};

// From the slowest to the fastest.
std::array<InstructionSet, 5> InstructionSets();

// The kernels of the last of the sets that are there; avx512 instead of avx512_bf16 where that is faster,
// which is measured once.
const CpuKernels* Fastest(std::span<const InstructionSet> sets);

// Each set of kernels; null if the processor or the operating system lacks it.
const CpuKernels* BaselineKernels();
const CpuKernels* Avx2Kernels();
const CpuKernels* Avx512Kernels();
const CpuKernels* Avx512Bf16Kernels();
const CpuKernels* AmxBf16Kernels();
bool AmxBf16IsRefused();  // as InstructionSet::refused

}  // namespace varserve::backend::cpu
