// Operations on single rows: RMS norm with phi, rotary embedding with the write into the KV pool, gated
// activation. Included only by isa_*.cc.
#pragma once

#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/vec.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

static void RmsNorm(const RmsNormArgs& a, int row_begin, int row_end) {
  for (int r = row_begin; r < row_end; ++r) {
    const float* x = a.x + static_cast<int64_t>(r) * a.width;
    float* y = a.y + static_cast<int64_t>(r) * a.width;
    Vec squares[4] = {};
    int c = 0;
    for (; c + 4 * kLanes <= a.width; c += 4 * kLanes) {
      for (int i = 0; i < 4; ++i) {
        const Vec v = Load(x + c + i * kLanes);
        squares[i] += v * v;
      }
    }
    float sum = Sum((squares[0] + squares[1]) + (squares[2] + squares[3]));
    for (; c < a.width; ++c) sum += x[c] * x[c];
    const float mean_square = sum / static_cast<float>(a.width);

    if (a.num_sink_dimensions > 0) {
      float largest = 0.0F;
      for (int i = 0; i < a.num_sink_dimensions; ++i) {
        const float magnitude = __builtin_fabsf(x[a.sink_dimensions[i]]);
        largest = magnitude > largest ? magnitude : largest;
      }
      for (int plane = 0; plane < 2; ++plane) {
        a.phi[plane * a.phi_plane_stride + a.slots[r]] =
            largest / __builtin_sqrtf(mean_square + a.phi_eps[plane]);
      }
    }

    const float scale = 1.0F / __builtin_sqrtf(mean_square + a.eps);
    for (c = 0; c + kLanes <= a.width; c += kLanes) Store(y + c, Load(x + c) * scale * Load(a.weight + c));
    for (; c < a.width; ++c) y[c] = x[c] * scale * a.weight[c];
  }
}

// Pairs (i, i + D/2), the layout of Hugging Face checkpoints.
VARSERVE_INLINE void Rotate(float* head, const float* cos, const float* sin, int half) {
  int i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    const Vec a = Load(head + i);
    const Vec b = Load(head + half + i);
    const Vec c = Load(cos + i);
    const Vec s = Load(sin + i);
    Store(head + i, a * c - b * s);
    Store(head + half + i, b * c + a * s);
  }
  for (; i < half; ++i) {
    const float a = head[i];
    const float b = head[half + i];
    head[i] = a * cos[i] - b * sin[i];
    head[half + i] = b * cos[i] + a * sin[i];
  }
}

template <typename T>
static void RopeStoreTyped(const RopeStoreArgs& a, int row_begin, int row_end) {
  const int half = a.head_dim / 2;
  const int64_t width = static_cast<int64_t>(a.heads + 2 * a.kv_heads) * a.head_dim;
  for (int r = row_begin; r < row_end; ++r) {
    float* q = a.qkv + r * width;
    float* k = q + static_cast<int64_t>(a.heads) * a.head_dim;
    const float* v = k + static_cast<int64_t>(a.kv_heads) * a.head_dim;
    const float* cos = a.cos + static_cast<int64_t>(r) * half;
    const float* sin = a.sin + static_cast<int64_t>(r) * half;
    for (int h = 0; h < a.heads; ++h) Rotate(q + h * a.head_dim, cos, sin, half);
    const int64_t block = a.slots[r] / a.block_size;
    const int64_t offset = a.slots[r] % a.block_size;
    for (int h = 0; h < a.kv_heads; ++h) {
      Rotate(k + h * a.head_dim, cos, sin, half);
      const int64_t at = ((block * a.kv_heads + h) * a.block_size + offset) * a.head_dim;
      T* k_out = static_cast<T*>(a.k_pool) + at;
      T* v_out = static_cast<T*>(a.v_pool) + at;
      for (int i = 0; i < a.head_dim; i += kLanes) {
        Store(k_out + i, Load(k + h * a.head_dim + i));
        Store(v_out + i, Load(v + h * a.head_dim + i));
      }
    }
  }
}

static void RopeStore(const RopeStoreArgs& a, int row_begin, int row_end) {
  switch (a.kv_type) {
    case StorageType::kFloat32:
      return RopeStoreTyped<float>(a, row_begin, row_end);
    case StorageType::kBFloat16:
      return RopeStoreTyped<BFloat16>(a, row_begin, row_end);
    case StorageType::kFloat16:
      return RopeStoreTyped<Float16>(a, row_begin, row_end);
  }
}

static void SiluMul(const SiluMulArgs& a, int row_begin, int row_end) {
  for (int r = row_begin; r < row_end; ++r) {
    const float* gate = a.x + static_cast<int64_t>(r) * 2 * a.width;
    const float* up = gate + a.width;
    float* y = a.y + static_cast<int64_t>(r) * a.width;
    int i = 0;
    for (; i + kLanes <= a.width; i += kLanes) {
      const Vec g = Load(gate + i);
      Store(y + i, g / (1.0F + Exp(-g)) * Load(up + i));
    }
    if (const int rest = a.width - i; rest > 0) {
      const Vec g = LoadPart(gate + i, rest);
      StorePart(y + i, g / (1.0F + Exp(-g)) * LoadPart(up + i, rest), rest);
    }
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
