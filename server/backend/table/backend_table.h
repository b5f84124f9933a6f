// The backends, and which of them a device and a model can use.
//
//   cpu    our own kernels, selected by instruction set (cpu/)
//   cuda   our own kernels for NVIDIA GPUs, for bfloat16 and float16 (cuda/)
//   torch  LibTorch's operators for any device; a slow reference for the others (torch/)
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <array>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "server/backend/backend.h"
#include "server/backend/head_shape.h"

namespace varserve::backend {

class Kernels;

enum class BackendKind : uint8_t { kAuto, kCpu, kCuda, kTorch };

// Values of --backend, indexed by BackendKind.
inline constexpr std::array<const char*, 4> kBackendNames = {"auto", "cpu", "cuda", "torch"};

// What a backend has to support.
struct BackendNeeds {
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;  // of weights and KV cache
  HeadShape heads;                    // of the decoder
  bool quantized = false;             // some weights are, or are to be
  // What launches the cuda backend's kernels, which then may be on any device; null: the GPU's driver.
  std::shared_ptr<const Kernels> kernels;
};

// kAuto: cpu on a CPU, torch elsewhere. Errors begin with --backend.
absl::StatusOr<Backend> MakeBackend(BackendKind kind, const BackendNeeds& needs);

}  // namespace varserve::backend
