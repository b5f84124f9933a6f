#include "server/base/flag_values.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace varserve {
namespace {

constexpr double kMostBytes = 1e15;

}  // namespace

absl::Status InvalidFlag(absl::string_view flag, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", problem));
}

absl::StatusOr<int64_t> FlagBytes(absl::string_view flag, absl::string_view text) {
  constexpr std::pair<absl::string_view, int> kUnits[] = {{"K", 10}, {"M", 20}, {"G", 30}, {"T", 40}};
  absl::string_view number = text;
  int64_t unit = 1;
  for (const auto& [name, bits] : kUnits) {
    if (absl::ConsumeSuffix(&number, name)) {
      unit <<= bits;
      break;
    }
  }
  double value = 0;
  const bool parsed = absl::SimpleAtod(number, &value);
  const double bytes = value * static_cast<double>(unit);
  if (!parsed || !(bytes >= 0) || bytes > kMostBytes) {
    return InvalidFlag(flag, absl::StrCat("\"", text, "\" is not a size such as 20G, 800M or 1000"));
  }
  return static_cast<int64_t>(bytes);
}

absl::Status FlagDirectory(absl::string_view flag, const std::string& path, absl::string_view holds) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return absl::OkStatus();
  const bool exists = std::filesystem::exists(path, error);
  return InvalidFlag(flag, absl::StrCat(path, exists ? " is not a directory" : " does not exist",
                                        "; give the directory that holds ", holds));
}

absl::StatusOr<int> FlagChoice(absl::string_view flag, absl::string_view value,
                               std::vector<std::string> names) {
  const auto found = std::find(names.begin(), names.end(), value);
  if (found != names.end()) return static_cast<int>(found - names.begin());
  const std::string last = std::move(names.back());
  names.pop_back();
  return InvalidFlag(flag, absl::StrCat("\"", value, "\" is not ", absl::StrJoin(names, ", "), " or ", last));
}

absl::Status FlagAtLeast(absl::string_view flag, int64_t value, int64_t least) {
  return value >= least ? absl::OkStatus()
                        : InvalidFlag(flag, absl::StrCat(value, " is not at least ", least));
}

absl::Status FlagInRange(absl::string_view flag, int64_t value, int64_t least, int64_t most) {
  return value >= least && value <= most
             ? absl::OkStatus()
             : InvalidFlag(flag, absl::StrCat(value, " is not in [", least, ", ", most, "]"));
}

}  // namespace varserve
