// Runs prompts through a model like the server's steps, and exposes every decoder layer's input and
// attention. Letters: N tokens of the prompt, C width, L layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "server/base/prompt.h"
#include "server/model/vision_language_model.h"
#include "tools/calibrate/calibration.h"

namespace varserve::calibrate {

struct ProbedLayer {
  int layer = 0;
  at::Tensor hidden;                         // [N, C] float32, the layer's input, in the prompt's order
  std::vector<ReceivedAttention> attention;  // [N]
};

// Calls `visit` for the layers in order. Only the tokens after the (first) image attend explicitly, so the
// attention is theirs; INVALID_ARGUMENT if there are too few of them. VAR is off.
absl::Status ProbeLayers(const model::VisionLanguageModel& model, std::shared_ptr<const Prompt> prompt,
                         const std::function<void(const ProbedLayer&)>& visit);

}  // namespace varserve::calibrate
