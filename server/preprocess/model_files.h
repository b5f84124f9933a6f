// Reads files of a Hugging Face model directory. Every error names the file. Thread-safe.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"

namespace varserve::preprocess {

// The whole file. NOT_FOUND if the directory has none of this name.
absl::StatusOr<std::string> ReadModelFile(const std::filesystem::path& model_dir, absl::string_view name);

// `text` of the file `name`, which must be a JSON object.
absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view name, absl::string_view text);

// ReadModelFile and ParseJsonObject.
absl::StatusOr<nlohmann::json> ReadModelJson(const std::filesystem::path& model_dir, absl::string_view name);

// `status` with its message prefixed by the file's name.
absl::Status InFile(absl::string_view name, const absl::Status& status);

}  // namespace varserve::preprocess
