#include "server/base/model_files.h"

#include <fstream>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/status_macros.h"

namespace varserve {
namespace {

using nlohmann::json;

// Far more than any configuration has; printing a value uses stack for each level.
constexpr int kMaxDepth = 100;
constexpr char kByteOrderMark[] = "\xEF\xBB\xBF";

// The parser's message without its error id: "parse error at line 3, column 5: ...".
absl::string_view WithoutErrorId(absl::string_view what) {
  const size_t end = what.find("] ");
  return end == absl::string_view::npos ? what : what.substr(end + 2);
}

}  // namespace

absl::StatusOr<std::string> ReadModelFile(const std::filesystem::path& model_dir, absl::string_view name) {
  const std::filesystem::path path = model_dir / std::string(name);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    const std::filesystem::path target = std::filesystem::read_symlink(path, error);
    if (!error) {
      return absl::NotFoundError(absl::StrCat(name, ": is a symbolic link to ", target.string(),
                                              ", which does not exist; download the model again"));
    }
    return absl::NotFoundError(absl::StrCat(name, ": not found in the model directory ", model_dir.string()));
  }
  const uintmax_t size = std::filesystem::file_size(path, error);  // an error for a directory
  std::string text(error ? 0 : size, '\0');
  // In one read: stream iterators throw on a disk error.
  if (error || !std::ifstream(path, std::ios::binary).read(text.data(), static_cast<std::streamsize>(size))) {
    return absl::FailedPreconditionError(
        absl::StrCat(name, ": cannot be read in the model directory ", model_dir.string()));
  }
  return text;
}

absl::StatusOr<json> ParseJsonObject(absl::string_view name, absl::string_view text) {
  if (absl::StartsWith(text, kByteOrderMark)) {
    return absl::FailedPreconditionError(
        absl::StrCat(name, ": begins with a byte order mark; save it as UTF-8 without one"));
  }
  bool too_deep = false;
  const auto check_depth = [&](int depth, json::parse_event_t, json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  json parsed;
  try {
    parsed = json::parse(text.begin(), text.end(), check_depth);
  } catch (const json::exception& e) {  // only the exception has the parser's message
    return absl::FailedPreconditionError(
        absl::StrCat(name, ": not a JSON object: ", WithoutErrorId(e.what())));
  }
  if (too_deep) {
    return absl::FailedPreconditionError(
        absl::StrCat(name, ": is nested more than ", kMaxDepth, " levels deep"));
  }
  if (!parsed.is_object()) return absl::FailedPreconditionError(absl::StrCat(name, ": not a JSON object"));
  return parsed;
}

absl::StatusOr<json> ReadModelJson(const std::filesystem::path& model_dir, absl::string_view name) {
  ASSIGN_OR_RETURN(const std::string text, ReadModelFile(model_dir, name));
  return ParseJsonObject(name, text);
}

absl::StatusOr<json> ReadModelJsonIfAny(const std::filesystem::path& model_dir, absl::string_view name) {
  absl::StatusOr<json> value = ReadModelJson(model_dir, name);
  if (absl::IsNotFound(value.status())) return json::object();
  return value;
}

absl::Status InFile(absl::string_view name, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(name, ": ", status.message()));
}

}  // namespace varserve
