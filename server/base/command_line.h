// The command line of a server program: abseil's flags, and what abseil does not say. An unknown flag comes
// with the closest known one, a value of the wrong type with the right one, and --help ends with 0. For main,
// before other threads start.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace varserve {

struct Program {
  absl::string_view name;     // "varserve-server"
  absl::string_view version;  // "0.9.0"
  absl::string_view usage;    // what it does and how it is called; the first lines of --help
  std::vector<absl::string_view>
      flags_files;  // "server/config.cc": --help lists the flags these files define
};

// Sets the flags. Ends the process after --help and --version, with exit code 0. INVALID_ARGUMENT, beginning
// with the flag, for a flag that is unknown or whose value is missing or of another type.
absl::Status ReadFlags(const Program& program, int argc, char** argv);

// What --help prints: each flag with its default and, where it differs, its value. tests/deploy/chart.py
// reads it.
std::string HelpText(const Program& program);

}  // namespace varserve
