// Attention of prefix chunks with PyTorch's flash attention, for the torch backend.
#pragma once

#include "server/backend/attention.h"

namespace varserve::backend {

// See Attention::AttendPrefix.
void FlashAttendPrefix(const PrefixChunk& chunk, const at::Tensor& q, const KvLayer& kv, at::Tensor out);

}  // namespace varserve::backend
