#include "server/preprocess/model_files.h"

#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/status_macros.h"

namespace varserve::preprocess {

absl::StatusOr<std::string> ReadModelFile(const std::filesystem::path& model_dir, absl::string_view name) {
  const std::filesystem::path path = model_dir / std::string(name);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return absl::NotFoundError(absl::StrCat(name, ": not found in the model directory ", model_dir.string()));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) {
    return absl::FailedPreconditionError(
        absl::StrCat(name, ": cannot be read in the model directory ", model_dir.string()));
  }
  return text;
}

absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view name, absl::string_view text) {
  nlohmann::json json = nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::FailedPreconditionError(absl::StrCat(name, ": not a JSON object"));
  }
  return json;
}

absl::StatusOr<nlohmann::json> ReadModelJson(const std::filesystem::path& model_dir, absl::string_view name) {
  ASSIGN_OR_RETURN(const std::string text, ReadModelFile(model_dir, name));
  return ParseJsonObject(name, text);
}

absl::Status InFile(absl::string_view name, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(name, ": ", status.message()));
}

}  // namespace varserve::preprocess
