// A step's host data as the decoder's tensors on the device.
#pragma once

#include <ATen/core/Tensor.h>

#include "server/model/decoder.h"
#include "server/model/image_features.h"
#include "server/model/step_buffer.h"
#include "server/model/step_input.h"

namespace varserve::model {

// Embeds the tokens, with visual tokens in place. `rows` is the prepared form of input.batch. The result
// points into `rows` and `buffer`. Does not synchronize with the host.
DecoderInput MakeDecoderInput(const VisionLanguageModel& model, const engine::StepPlan& plan,
                              const StepInput& input, const ImageFeatures& features,
                              const backend::PreparedRows& rows, StepBuffer& buffer);

}  // namespace varserve::model
