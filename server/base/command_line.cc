#include "server/base/command_line.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>
#include <vector>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage_config.h"
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

constexpr size_t kWidth = 100;

bool IsOf(const Program& program, const absl::CommandLineFlag& flag) {
  return absl::EndsWith(flag.Filename(), program.flags_file);
}

// Sorted by name.
std::map<std::string, const absl::CommandLineFlag*> FlagsOf(const Program& program) {
  std::map<std::string, const absl::CommandLineFlag*> flags;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (IsOf(program, *flag)) flags.emplace(name, flag);
  }
  return flags;
}

// How many characters to insert, delete or replace.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> distance(b.size() + 1);  // from a's first i characters to b's first j
  for (size_t j = 0; j <= b.size(); ++j) distance[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(distance[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(distance[j], std::min({replaced, distance[j] + 1, distance[j - 1] + 1}));
    }
  }
  return distance[b.size()];
}

absl::Status UnknownFlag(const Program& program, absl::string_view name) {
  const std::string written = absl::StrReplaceAll(name, {{"-", "_"}});
  std::string closest;
  size_t least = name.size() < 5 ? 2 : std::max<size_t>(name.size() / 3, 2) + 1;  // how much may be wrong
  for (const auto& [known, flag] : FlagsOf(program)) {
    const size_t distance = EditDistance(written, known);
    if (distance >= least) continue;
    least = distance;
    closest = known;
  }
  return InvalidFlag(name, absl::StrCat("is not a flag; ",
                                        closest.empty() ? "" : absl::StrCat("did you mean --", closest, "? "),
                                        closest.empty() ? "see " : "See ", program.name, " --help"));
}

// abseil would end the process, without saying what a value looks like.
absl::Status CheckValue(absl::CommandLineFlag& flag, absl::string_view name, absl::string_view value) {
  std::string error;
  if (flag.ParseFrom(value, &error)) return absl::OkStatus();
  const absl::string_view expected = flag.IsOfType<absl::Duration>() ? "a duration such as 30s, 5m or 1h"
                                     : flag.IsOfType<double>()       ? "a number"
                                     : flag.IsOfType<bool>()         ? "true or false"
                                                                     : "a whole number in range";
  return InvalidFlag(name, absl::StrCat("\"", value, "\" is not ", expected));
}

// The arguments without those that ask for help.
absl::StatusOr<std::vector<char*>> CheckNames(const Program& program, int argc, char** argv, bool& help) {
  std::vector<char*> checked = {argv[0]};
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (argument == "--") {  // nothing is a flag from here on
      checked.insert(checked.end(), argv + i, argv + argc);
      break;
    }
    const size_t dashes = std::min(argument.find_first_not_of('-'), argument.size());
    const absl::string_view name = argument.substr(dashes, argument.find('=') - dashes);
    if (name == "help" || name == "helpshort" || argument == "-h") {
      help = true;
      continue;
    }
    checked.push_back(argv[i]);
    if (dashes == 0 || dashes > 2 || name.empty() || name == "version") continue;
    absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
    if (flag == nullptr && absl::StartsWith(name, "no")) {
      flag = absl::FindCommandLineFlag(absl::StripPrefix(name, "no"));
      if (flag != nullptr && !flag->IsOfType<bool>()) flag = nullptr;
    }
    if (flag == nullptr) return UnknownFlag(program, name);
    const size_t equals = argument.find('=');
    if (equals == argument.npos && flag->IsOfType<bool>()) continue;
    if (equals == argument.npos) {
      if (++i == argc) return InvalidFlag(name, "has no value; give it one");
      checked.push_back(argv[i]);
    }
    const absl::string_view value = equals == argument.npos ? argv[i] : argument.substr(equals + 1);
    if (IsOf(program, *flag)) RETURN_IF_ERROR(CheckValue(*flag, name, value));
  }
  return checked;
}

}  // namespace

absl::Status ReadFlags(const Program& program, int argc, char** argv) {
  absl::FlagsUsageConfig config;
  config.version_string = [text = absl::StrCat(program.name, " ", program.version, "\n")] { return text; };
  absl::SetFlagsUsageConfig(config);
  bool help = false;
  ASSIGN_OR_RETURN(std::vector<char*> arguments, CheckNames(program, argc, argv, help));
  const std::vector<char*> rest =
      absl::ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
  if (help) {  // after --flagfile
    std::fputs(FlagsHelp(program).c_str(), stdout);
    std::exit(EXIT_SUCCESS);
  }
  if (rest.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("unexpected argument \"", rest[1], "\"; see ", program.name, " --help"));
  }
  return absl::OkStatus();
}

std::string FlagsHelp(const Program& program) {
  std::string help = absl::StrCat(program.usage, "\n\n");
  for (const auto& [name, flag] : FlagsOf(program)) {
    const std::string quote = flag->IsOfType<std::string>() ? "\"" : "";
    const std::string meaning = absl::StrCat("--", name, " (", flag->Help(), ");");
    std::vector<std::string> words = absl::StrSplit(meaning, ' ');
    words.push_back(absl::StrCat("default: ", quote, flag->DefaultValue(), quote, ";"));
    if (flag->CurrentValue() != flag->DefaultValue())
      words.push_back(absl::StrCat("currently: ", quote, flag->CurrentValue(), quote, ";"));
    std::string line = " ";
    for (const std::string& word : words) {
      if (line.size() + 1 + word.size() > kWidth) {
        absl::StrAppend(&help, line, "\n");
        line = "     ";
      }
      absl::StrAppend(&line, " ", word);
    }
    absl::StrAppend(&help, line, "\n");
  }
  return help;
}

}  // namespace varserve
