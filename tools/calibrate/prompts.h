// The prompts to calibrate with: pictures and questions of the user's, or the tool's own (samples.h).
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

// Every picture and every question at least once, one of each in a prompt. `images` is a folder of JPEG, PNG
// and WebP files and `questions` a text file with one question a line; empty: the tool's own. A prompt must
// fit `context` tokens. Errors begin with the flag's name.
absl::StatusOr<PromptSet> MakePrompts(const chat::Preprocessor& preprocessor, const std::string& images,
                                      const std::string& questions, int context);

}  // namespace varserve::calibrate
