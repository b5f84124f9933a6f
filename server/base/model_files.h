// Reads files of a Hugging Face model directory. Errors begin with the file's name: NOT_FOUND if the file
// does not exist, FAILED_PRECONDITION if its content cannot be used. Thread-safe.
#pragma once

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"

namespace varserve {

// The whole file. Follows symbolic links wherever they lead: the hub's cache consists of them.
absl::StatusOr<std::string> ReadModelFile(const std::filesystem::path& model_dir, absl::string_view name);

// Parses `text` of the file `name`, which must be a JSON object. If a key occurs twice, the last value
// counts, as in Python. Rejects anything that is not standard JSON (NaN, comments, a byte order mark).
absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view name, absl::string_view text);

// ReadModelFile followed by ParseJsonObject.
absl::StatusOr<nlohmann::json> ReadModelJson(const std::filesystem::path& model_dir, absl::string_view name);

// The same, but an empty object if there is no such file.
absl::StatusOr<nlohmann::json> ReadModelJsonIfAny(const std::filesystem::path& model_dir,
                                                  absl::string_view name);

// `status` with the file's name before its message.
absl::Status InFile(absl::string_view name, const absl::Status& status);

}  // namespace varserve
