// The torch backend: LibTorch's operators, for any device.
#pragma once

#include <c10/core/Device.h>

#include <memory>

#include "server/backend/attention.h"
#include "server/backend/layer_ops.h"

namespace varserve::backend {

std::unique_ptr<LayerOps> MakeTorchLayerOps();
std::unique_ptr<Attention> MakeTorchAttention(at::Device device);

}  // namespace varserve::backend
