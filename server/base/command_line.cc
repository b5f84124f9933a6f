#include "server/base/command_line.h"

#include <absl/flags/commandlineflag.h>
#include <absl/flags/parse.h>
#include <absl/flags/reflection.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <numeric>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "server/base/flag_values.h"
#include "server/base/status_macros.h"

namespace varserve {
namespace {

constexpr size_t kHelpWidth = 100;

bool IsOurs(const Program& program, const absl::CommandLineFlag& flag) {
  return std::any_of(program.flags_files.begin(), program.flags_files.end(),
                     [&](absl::string_view file) { return absl::EndsWith(flag.Filename(), file); });
}

// By name.
std::map<std::string, absl::CommandLineFlag*> FlagsOf(const Program& program) {
  std::map<std::string, absl::CommandLineFlag*> flags;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (IsOurs(program, *flag)) flags.emplace(name, flag);
  }
  return flags;
}

// Characters to insert, delete or replace (Levenshtein).
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);  // distances of a prefix of `a` to the prefixes of `b`
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

absl::Status UnknownFlag(const Program& program, absl::string_view name) {
  std::string closest;
  size_t least = name.size() / 3 + 2;  // a third may be wrong
  for (const auto& [known, flag] : FlagsOf(program)) {
    const size_t distance = EditDistance(absl::StrReplaceAll(name, {{"-", "_"}}), known);
    if (distance >= least) continue;
    least = distance;
    closest = known;
  }
  return InvalidFlag(name, absl::StrCat("is not a flag; ",
                                        closest.empty() ? "" : absl::StrCat("did you mean --", closest, "? "),
                                        program.name, " --help lists all"));
}

absl::string_view TypeOf(const absl::CommandLineFlag& flag) {
  if (flag.IsOfType<bool>()) return "true or false";
  if (flag.IsOfType<int>()) return "a whole number of at most 2147483647";
  if (flag.IsOfType<int64_t>()) return "a whole number";
  if (flag.IsOfType<double>()) return "a number";
  if (flag.IsOfType<absl::Duration>()) return "a time such as 500ms, 30s or 5m";
  return "a value of this flag";
}

[[noreturn]] void PrintAndExit(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::exit(EXIT_SUCCESS);
}

// abseil ends the process with other words for what this refuses. Returns the index of --help, or argc.
absl::StatusOr<int> CheckFlags(const Program& program, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    absl::string_view word = argv[i];
    if (word == "--") break;
    if (word.size() < 2 || !absl::ConsumePrefix(&word, "-")) continue;
    absl::ConsumePrefix(&word, "-");
    const bool has_value = absl::StrContains(word, '=');
    const absl::string_view name = word.substr(0, word.find('='));
    if (name == "help" || name == "h") return i;
    if (name == "version") PrintAndExit(absl::StrCat(program.name, " ", program.version, "\n"));
    absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
    if (flag == nullptr) {
      absl::string_view positive = name;
      flag = absl::ConsumePrefix(&positive, "no") ? absl::FindCommandLineFlag(positive) : nullptr;
      if (flag == nullptr || !flag->IsOfType<bool>() || has_value) return UnknownFlag(program, name);
      continue;
    }
    if (flag->IsOfType<bool>() && !has_value) continue;
    if (!has_value && ++i == argc) return InvalidFlag(name, "has no value");
    const absl::string_view value = has_value ? word.substr(name.size() + 1) : absl::string_view(argv[i]);
    std::string error;
    const bool ours = IsOurs(program, *flag);
    if (ours && !flag->ParseFrom(value, &error))
      return InvalidFlag(name, absl::StrCat("\"", value, "\" is not ", TypeOf(*flag)));
  }
  return argc;
}

// Breaks a text at spaces.
void AppendWrapped(absl::string_view text, absl::string_view indent, std::string& to) {
  size_t used = kHelpWidth;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    const bool fits = used + 1 + word.size() <= kHelpWidth;
    absl::StrAppend(&to, fits ? " " : "\n", fits ? "" : indent, word);
    used = (fits ? used + 1 : indent.size()) + word.size();
  }
  to += '\n';
}

}  // namespace

std::string HelpText(const Program& program) {
  std::string text = absl::StrCat(program.usage, "\n");
  for (const auto& [name, flag] : FlagsOf(program)) {
    const absl::string_view quote = flag->IsOfType<std::string>() ? "\"" : "";
    const std::string value = flag->CurrentValue();
    absl::StrAppend(&text, "\n  --", name, " (default: ", quote, flag->DefaultValue(), quote, ";");
    if (value != flag->DefaultValue()) absl::StrAppend(&text, " currently: ", quote, value, quote, ";");
    text += ')';
    AppendWrapped(flag->Help(), "      ", text);
  }
  return text;
}

absl::Status ReadFlags(const Program& program, int argc, char** argv) {
  ASSIGN_OR_RETURN(const int end, CheckFlags(program, argc, argv));
  const std::vector<char*> rest = absl::ParseCommandLine(end, argv);
  if (end < argc)
    PrintAndExit(HelpText(program));  // with the values of the flags before it, and of --flagfile
  if (rest.size() <= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("unexpected argument \"", rest[1], "\"; ", program.name, " --help lists all flags"));
}

}  // namespace varserve
