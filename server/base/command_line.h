// A program's flags from its command line, and its --help. The flags are abseil's. abseil ends --help with
// exit code 1, and its errors do not say what to write instead; both are done here. Call before any other
// thread uses flags.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace varserve {

struct Program {
  absl::string_view name;   // "varserve-server"
  absl::string_view usage;  // what it does, and how it is called
  absl::string_view version;
  absl::string_view flags_file;  // the program's flags are those that files ending so define
};

// Reads all arguments into flags. --help (also -h) and --version print to standard output and end the process
// with exit code 0. INVALID_ARGUMENT naming the flag: an unknown one, with the flag that was probably meant,
// or one with a value that its type cannot have. abseil itself ends the process after an error in a
// --flagfile.
absl::Status ReadFlags(const Program& program, int argc, char** argv);

// What --help prints: each of the program's flags with its meaning, default and, where it differs, value.
std::string FlagsHelp(const Program& program);

}  // namespace varserve
