// CUDA graphs, captured and launched by NVIDIA's driver.
#pragma once

#include <c10/core/Device.h>

#include <memory>

#include "server/backend/cuda/driver.h"
#include "server/backend/graph_recorder.h"

namespace varserve::backend {

std::unique_ptr<const GraphRecorder> MakeDriverRecorder(const Driver& driver, at::Device device);

}  // namespace varserve::backend
