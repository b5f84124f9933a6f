#include "server/backend/cpu/window_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "server/backend/cpu/dense_attention.h"

namespace varserve::backend::cpu {
namespace {

// Pointers to the rows of all windows. x: [W, T, H, D] bfloat16, contiguous
std::vector<const uint16_t*> Rows(const at::Tensor& x) {
  const auto* first = static_cast<const uint16_t*>(x.const_data_ptr());
  std::vector<const uint16_t*> rows(x.size(0) * x.size(1));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = first + i * x.stride(1);
  return rows;
}

}  // namespace

void AttendWindows(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::Tensor& out) {
  const at::Tensor keys = k.to(at::kBFloat16).contiguous();
  const at::Tensor values = v.to(at::kBFloat16).contiguous();
  const std::vector<const uint16_t*> key_rows = Rows(keys);
  const std::vector<const uint16_t*> value_rows = Rows(values);
  const int64_t tokens = q.size(1);
  const auto window = [&](int64_t w) {
    return DenseAttentionArgs{.q = q.const_data_ptr<float>() + w * q.stride(0),
                              .q_stride = q.stride(1),
                              .out = out.mutable_data_ptr<float>() + w * out.stride(0),
                              .out_stride = out.stride(1),
                              .keys = {key_rows.data() + w * tokens, static_cast<size_t>(tokens)},
                              .values = {value_rows.data() + w * tokens, static_cast<size_t>(tokens)},
                              .kv_head_stride = keys.stride(2),
                              .rows = static_cast<int>(tokens),
                              .heads = static_cast<int>(q.size(2)),
                              .kv_heads = static_cast<int>(q.size(2)),
                              .head_dim = static_cast<int>(q.size(3))};
  };
  const int64_t tiles = DenseAttention::NumTiles(window(0));
  at::parallel_for(0, q.size(0) * tiles, 1, [&](int64_t begin, int64_t end) {
    DenseAttention attention(GetCpuKernels());
    for (int64_t w = begin / tiles; w * tiles < end; ++w) {
      attention.Run(window(w), static_cast<int>(std::max<int64_t>(begin - w * tiles, 0)),
                    static_cast<int>(std::min(end - w * tiles, tiles)));
    }
  });
}

}  // namespace varserve::backend::cpu
