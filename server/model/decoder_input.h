// A step's host data as the decoder's tensors on the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "server/model/decoder.h"
#include "server/model/image_features.h"
#include "server/model/step_input.h"

namespace varserve::model {

at::Tensor ToDevice(const std::vector<int64_t>& values, at::Device device);

// Embeds the tokens, with visual tokens in place. `rows` is the prepared form of input.batch, and must
// outlive the result. Does not synchronize with the host.
DecoderInput MakeDecoderInput(const VisionLanguageModel& model, const engine::StepPlan& plan,
                              const StepInput& input, const ImageFeatures& features,
                              const backend::PreparedRows& rows);

}  // namespace varserve::model
