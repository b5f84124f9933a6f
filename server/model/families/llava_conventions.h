// What families that follow LLaVA in transformers have in common: names of weights, and the processor's
// class. No torch. Pure functions, thread-safe.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/status.h"

namespace varserve::model {

inline constexpr char kProcessorFile[] = "processor_config.json";

// Family::canonical_weight_name. Both generations of names: with "model." in front of everything, and with it
// inside language_model.
std::string LlavaWeightName(const std::string& stored);

// FAILED_PRECONDITION if the directory's processor is of another class. The first file that names one
// decides, as in transformers.
absl::Status CheckProcessorClass(const std::filesystem::path& model_dir, const char* supported);

}  // namespace varserve::model
