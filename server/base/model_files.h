// Reads files of a Hugging Face model directory. Every error begins with the file's name: NOT_FOUND where
// there is no such file, FAILED_PRECONDITION where its content cannot be used. Thread-safe.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"

namespace varserve {

// The whole file. Symbolic links are followed, wherever they lead: the hub's cache is made of them.
absl::StatusOr<std::string> ReadModelFile(const std::filesystem::path& model_dir, absl::string_view name);

// `text` of the file `name`, which must be a JSON object. Of equal keys the last one counts, as in Python;
// what is not standard JSON (NaN, comments, a byte order mark) is refused.
absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view name, absl::string_view text);

// ReadModelFile and ParseJsonObject.
absl::StatusOr<nlohmann::json> ReadModelJson(const std::filesystem::path& model_dir, absl::string_view name);

// `status` with its message prefixed by the file's name.
absl::Status InFile(absl::string_view name, const absl::Status& status);

}  // namespace varserve
