// The device and precision a model runs in.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

#include "absl/status/statusor.h"

namespace varserve::model {

// --device: "auto", "cpu", "cuda" or "cuda:N". CUDA's libraries (libtorch_cuda.so) are opened here, at run
// time, so that one binary serves both: "auto" takes a GPU if there is one. FAILED_PRECONDITION with the
// reason if CUDA is requested but not available.
absl::StatusOr<at::Device> OpenDevice(const std::string& flag);

// --dtype: "auto", "float32", "bfloat16" or "float16". "auto" is the checkpoint's on a GPU. On a CPU, where
// activations are float32 in any case and 16 bit weights only halve the bytes, it is bfloat16 for 16 bit
// checkpoints, else float32.
absl::StatusOr<at::ScalarType> ChooseDtype(const std::string& flag, const std::string& checkpoint_dtype,
                                           at::Device device);

// As in --dtype.
std::string DtypeName(at::ScalarType dtype);

}  // namespace varserve::model
