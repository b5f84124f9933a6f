// The heads of a decoder's attention.
#pragma once

#include <cstdint>

namespace varserve::backend {

struct HeadShape {
  int64_t heads = 0;
  int64_t kv_heads = 0;  // divides heads
  int64_t head_dim = 0;

  int64_t group() const { return heads / kv_heads; }  // heads of a KV head
};

}  // namespace varserve::backend
