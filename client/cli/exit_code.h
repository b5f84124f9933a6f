// How the command line ends; scripts and container health checks rely on these.
#pragma once

#include "absl/status/status.h"

namespace varserve::cli {

enum ExitCode : int {
  kExitOk = 0,
  kExitError = 1,            // of the server or the network, or output cannot be written
  kExitUsage = 2,            // the command line, or a file it names cannot be read
  kExitRefused = 3,          // the request is wrong, or fits at no time
  kExitBusy = 4,             // RESOURCE_EXHAUSTED with a retry delay, UNAVAILABLE: trying again may help
  kExitDeadline = 5,         // DEADLINE_EXCEEDED
  kExitUnauthenticated = 6,  // UNAUTHENTICATED, PERMISSION_DENIED
  kExitInterrupted = 130,    // Ctrl-C
};

// CANCELLED is kExitInterrupted: nothing but a signal cancels the command line's calls.
ExitCode ExitCodeOf(const absl::Status& status);

}  // namespace varserve::cli
