// Attention of prefix chunks by PyTorch's own flash attention, for the backend of tensor operators.
#pragma once

#include "server/backend/attention.h"

namespace varserve::backend {

// As Attention::AttendPrefix.
void FlashAttendPrefix(const PrefixChunk& chunk, const at::Tensor& q, const KvLayer& kv, at::Tensor out);

}  // namespace varserve::backend
