// A command from its parsed flags to the exit code: reads the files, connects, calls, and says what went
// wrong.
#pragma once

#include <string>

#include "client/cancellation.h"
#include "client/commands/command.h"

namespace varserve::cli {

// While the call runs, Ctrl-C and SIGTERM cancel it through `cancellation`.
ExitCode RunCommand(Command& command, client::Cancellation& cancellation, Console& console);

// Wrong use of the command line; `command` is empty if none was recognised.
ExitCode UsageError(const std::string& message, const std::string& command, Console& console);

}  // namespace varserve::cli
