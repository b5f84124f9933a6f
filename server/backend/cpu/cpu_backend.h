// The cpu backend: our own kernels. Attention is one pass per row and KV head over K and V as stored.
#pragma once

#include <memory>

#include "server/backend/attention.h"
#include "server/backend/layer_ops.h"

namespace varserve::backend {

std::unique_ptr<LayerOps> MakeCpuLayerOps();
std::unique_ptr<Attention> MakeCpuAttention();

}  // namespace varserve::backend
