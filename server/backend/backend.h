// A backend: everything a decoder's layers and a vision tower compute, for one kind of device. The model is
// written once, against these two interfaces; all backends compute the same numbers up to rounding.
//
//   cpu    kernels of our own, chosen by instruction set (cpu/)
//   torch  LibTorch's operators, on any device: what CUDA runs, and the slow reference of the other (torch/)
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>

#include "server/backend/attention.h"
#include "server/backend/layer_ops.h"

namespace varserve::backend {

enum class BackendKind : uint8_t { kAuto, kCpu, kTorch };

// Const after construction; thread-compatible.
class Backend {
 public:
  // kAuto: the fastest that runs on `device`. REQUIRES: a CPU for kCpu.
  Backend(BackendKind kind, at::Device device);

  const LayerOps& ops() const { return *ops_; }
  const Attention& attention() const { return *attention_; }

 private:
  std::unique_ptr<const LayerOps> ops_;
  std::unique_ptr<const Attention> attention_;
};

}  // namespace varserve::backend
