// The prompts for calibration: the user's pictures and questions, or the built-in ones (samples.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/prompt.h"
#include "server/chat/preprocessor.h"

namespace varserve::calibrate {

struct PromptSet {
  std::vector<std::shared_ptr<const Prompt>> prompts;
  std::string description;  // such as "8 pictures of its own, 20 questions"
};

// Uses every picture and every question at least once, one of each per prompt. `images` is a folder of JPEG,
// PNG and WebP files, `questions` a text file with one question per line; empty: the built-in ones. A prompt
// must fit `context` tokens. Errors begin with the flag's name.
absl::StatusOr<PromptSet> MakePrompts(const chat::Preprocessor& preprocessor, const std::string& images,
                                      const std::string& questions, int context);

}  // namespace varserve::calibrate
