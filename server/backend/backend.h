// A backend: all operations of decoder layers and the vision tower, for one kind of device. The model is
// written once, against these two interfaces. All backends compute the same numbers up to rounding.
//
//   cpu    our own kernels, selected by instruction set (cpu/)
//   torch  LibTorch's operators for any device: used on CUDA, and as a slow reference for the CPU (torch/)
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
  // kAuto: the fastest for `device`. REQUIRES: a CPU for kCpu.
  Backend(BackendKind kind, at::Device device);

  const LayerOps& ops() const { return *ops_; }
  const Attention& attention() const { return *attention_; }

 private:
  std::unique_ptr<const LayerOps> ops_;
  std::unique_ptr<const Attention> attention_;
};

}  // namespace varserve::backend
